// The address bar as state: a path, its parameters, and links that do not reload. Not a table of pages: that is App.svelte.
class Router {
  #url = $state.raw(new URL(location.href));

  constructor() {
    addEventListener("popstate", () => {
      this.#url = new URL(location.href);
    });
  }
  get path(): string {
    return this.#url.pathname;
  }
  get params(): URLSearchParams {
    return this.#url.searchParams;
  }
  go(address: string, how: "push" | "replace" = "push"): void {
    const url = new URL(address, location.href);
    if (url.href === this.#url.href) return;
    if (how === "push") history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    const samePage = url.pathname === this.#url.pathname;
    this.#url = url;
    if (!samePage) scrollTo(0, 0);
  }
}
export const router = new Router();

/** Follows plain clicks on links of this page; everything else (new tab, other sites) stays the browser's. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target || link.origin !== location.origin || !("internal" in link.dataset)) return;
  event.preventDefault();
  router.go(link.href);
}
