// Accounts as they are: the server's cards are shown anew when one of them has changed.

import { watch } from "./calls.js";
import { settleTimes } from "./format.js";

export function begin() {
  let before = null;
  const onEvent = async (name, data) => {
    if (name !== "accounts") return;
    const now = JSON.stringify(data);
    if (before !== null && before !== now) await refresh();
    before = now;
  };
  watch("live", onEvent, () => {});
}

async function refresh() {
  const token = document.querySelector('meta[name="ampproxy-page"]').content;
  const answer = await fetch("accounts", { headers: { "X-Ampproxy-Page": token }, cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("accounts"), old = document.getElementById("accounts");
  if (fresh && old) {
    old.replaceWith(fresh);
    settleTimes(fresh);
  }
}
