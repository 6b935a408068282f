// Makes the page live. Everything can be read without it; each view has a module of its own.

import { runSpans, settleTimes } from "./format.js";

settleTimes();
runSpans();

const view = document.body.dataset.view;
if (["live", "accounts", "usage", "doctor", "config"].includes(view)) {
  const module = await import(`./${view}.js`);
  module.begin();
}
