// Mounts the page. Nothing else.
import { mount } from "svelte";
import App from "./App.svelte";

const target = document.getElementById("app");
if (!target) throw new Error("BUG: index.html has no #app");
mount(App, { target });
