// Accounts as they are: the server's cards are shown anew when one of them has changed.

import { shownBy, watch } from "./calls.js";
import { settleTimes } from "./format.js";
import { begin as beginLogins } from "./logins.js";

export function begin() {
  let before = null;
  const onEvent = async (name, data) => {
    if (name !== "accounts") return;
    const now = JSON.stringify(data);
    if (before !== now) await refresh();
    before = now;
  };
  beginLogins();
  watch("live", onEvent, () => {});
}

async function refresh() {
  const fresh = (await shownBy("accounts"))?.getElementById("accounts");
  const old = document.getElementById("accounts");
  if (fresh && old) {
    old.replaceWith(fresh);
    settleTimes(fresh);
  }
}
