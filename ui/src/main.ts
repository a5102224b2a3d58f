// Loads the reader's words, then the page, which says them from its first line on. Nothing else.
import "./app/tokens.css";
import "./app/base.css";
import { loadWords } from "./words/t";

void loadWords().then(() => import("./app/start"));
