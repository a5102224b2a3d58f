// Who is looking, as the page knows it: asked once, again after each log-in, and doubted when any request answers 401.
// Not the protection itself: that is the server's.
import { logIn, logOut, session as askSession, type Credentials, type Session } from "../api/auth";
import { ApiError, onUnauthorized } from "../api/request";

type State = "asking" | "open" | "login" | "unreachable";

class SessionState {
  state = $state<State>("asking");
  session = $state.raw<Session | undefined>();
  error = $state("");

  constructor() {
    onUnauthorized(() => (this.state = "login"));
  }

  /** Whether to offer what changes things. The server decides for itself; a server without log-in at all lets everybody. */
  get admin(): boolean {
    return this.state === "open" && (this.session === undefined || this.session.level === "admin");
  }

  async ask(): Promise<void> {
    try {
      this.session = await askSession();
      this.state = this.session.authEnabled && !this.session.authenticated ? "login" : "open";
    } catch (error) {
      this.error = error instanceof ApiError ? error.message : String(error);
      // A server without log-in at all is open; one that cannot be reached is tried again from the page.
      this.state = error instanceof ApiError && error.status === 404 ? "open" : "unreachable";
    }
  }

  async logIn(credentials: Credentials): Promise<void> {
    await logIn(credentials);
    await this.ask();
  }

  async logOut(): Promise<void> {
    await logOut();
    await this.ask();
  }
}

export const session = new SessionState();
