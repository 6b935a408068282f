// A login at a vendor: begun here, done on the vendor's page, and ended by the browser's coming back, or by the
// address that is pasted.

import { ask } from "./calls.js";
import { element } from "./format.js";

const LOOK = 1000;

export async function begin() {
  const vendors = document.getElementById("login-vendors");
  const state = document.getElementById("login-state");
  const paste = document.getElementById("login-paste");
  const { vendors: known, sign_in: last } = await ask("logins");
  let looking = false;

  const show = (login) => {
    paste.hidden = login?.state !== "waiting";
    const parts = [];
    if (login?.state === "waiting") {
      const link = element("a", { href: login.url, target: "_blank", rel: "noreferrer" }, "Open the vendor's page");
      parts.push(link, ". A browser on another machine ends at an address that it cannot reach", " (");
      parts.push(element("code", {}, `${login.ends}?…`), "): paste that address here. ");
    }
    if (login?.state === "working" && !login.text) parts.push("Working …");
    if (login?.text) parts.push(login.text);
    const text = parts.map((part) => part.textContent ?? part).join("");
    if (state.textContent !== text) state.replaceChildren(...parts);
  };

  const look = async () => {
    if (looking) return;
    looking = true;
    try {
      for (;;) {
        const { sign_in: login } = await ask("logins");
        show(login);
        if (!login || ["done", "failed"].includes(login.state)) break;
        await new Promise((resolve) => setTimeout(resolve, LOOK));
      }
    } finally {
      looking = false;
    }
  };

  const order = async (path, body) => {
    try {
      show((await ask(path, { method: "POST", body })).sign_in);
      await look();
    } catch (error) {
      state.textContent = error.message;
    }
  };

  for (const vendor of known) {
    const buttons = [element("button", { type: "button" }, `Log in at ${vendor.name}`)];
    buttons[0].addEventListener("click", () => order(`logins/begin?vendor=${vendor.kind}`));
    if (vendor.device) {
      const button = element("button", { type: "button" }, "By a code");
      button.addEventListener("click", () => order(`logins/begin?vendor=${vendor.kind}&device=1`));
      buttons.push(button);
    }
    const terms = element("details", {}, element("summary", {}, "The terms"), element("p", {}, vendor.terms));
    vendors.append(element("section", { class: "card" }, element("h3", {}, vendor.name), terms, ...buttons));
  }
  paste.addEventListener("submit", (event) => {
    event.preventDefault();
    order("logins/finish", { url: paste.elements.url.value });
    paste.reset();
  });
  show(last);
  if (last && ["waiting", "working"].includes(last.state)) look();
}
