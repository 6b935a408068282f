// Requests as they happen.

import { shownBy, watch } from "./calls.js";
import { count, dollars, element, time, took } from "./format.js";

const MOST_ROWS = 100;
const KINDS = { local: "own", mapped: "mapped", amp: "amp", none: "refused", management: "quietly" };
const TITLES = ["Time", "Route", "Model", "Account", "Client", "Tokens", "Cost", "Took"];
const KINDS_OF = { Model: "wide", Account: "short", Client: "short", Tokens: "num", Cost: "num", Took: "num" };
// Milliseconds between two looks at the day's figures: the ledger has a request some seconds after its end.
const GLANCE = 5000;

export function begin() {
  const body = document.getElementById("requests");
  const state = document.getElementById("live-state");
  const nothing = document.getElementById("no-requests");
  const figure = (name) => document.querySelector(`[data-figure="${name}"]`);
  let missed = 0, glancing = null;

  // Rows of the server's are shown once more by the stream when they end; those under way are its to show.
  for (const row of [...body.rows]) if (row.querySelector(".under-way")) row.remove();
  const table = body.closest("table");
  const empty = () => {
    nothing.hidden = body.rows.length > 0;
    table.hidden = body.rows.length === 0;
  };

  function onRunning({ rows, count: number }) {
    figure("running").textContent = String(number);
    for (const row of body.querySelectorAll("tr[data-running]")) row.remove();
    body.prepend(...rows.map((row) => shown(row, true)));
    empty();
  }

  function onEnded({ rows, missed: more }) {
    missed += more;
    const first = body.querySelector("tr:not([data-running])");
    const fresh = rows.map((row) => shown(row, false));
    if (first) first.before(...fresh);
    else body.append(...fresh);
    while (body.rows.length > MOST_ROWS) body.rows[body.rows.length - 1].remove();
    report(true);
    empty();
    glancing ??= setTimeout(glance, GLANCE);
  }

  // The day's figures, as the server's own page shows them.
  async function glance() {
    glancing = null;
    const page = await shownBy("live");
    const fresh = page?.getElementById("glance");
    if (!fresh) return;
    for (const name of ["running", "accounts"]) {
      fresh.querySelector(`[data-figure="${name}"]`).textContent = figure(name).textContent;
    }
    document.getElementById("glance").replaceWith(fresh);
  }

  function onAccounts(list) {
    const well = list.filter((one) => ["ready", "untried"].includes(one.state)).length;
    figure("accounts").textContent = `${well} of ${list.length}`;
  }

  function report(connected, why) {
    const skipped = missed ? ` ${missed.toLocaleString("en-US")} came too fast to be shown here; the log has them.` : "";
    const text = connected ? `Live.${skipped}` : why || "Not connected; trying again …";
    if (state.textContent !== text) state.textContent = text;
  }

  empty();
  const handlers = { running: onRunning, ended: onEnded, accounts: onAccounts };
  watch("live", (name, data) => handlers[name]?.(data), report);
}

function shown(row, underWay) {
  const cells = {
    Time: element("time", { datetime: new Date(row.at * 1000).toISOString() }, time(row.at)),
    Route: [element("span", { class: `badge ${KINDS[row.route] || "neutral"}` }, row.route), status(row, underWay)],
    Model: [model(row), why(row)],
    Account: row.account || "–",
    Client: row.client === "-" ? "–" : row.client,
    Tokens: tokens(row),
    Cost: row.usd === null ? "–" : dollars(row.usd),
    Took: row.total_ms === null ? "…" : took(row.total_ms),
  };
  const line = element("tr", { role: "row", class: underWay ? "" : "fresh" });
  if (underWay) line.dataset.running = row.id;
  TITLES.forEach((title, at) => {
    const kind = KINDS_OF[title] || "";
    const attributes = at === 0 ? { scope: "row", role: "rowheader" } : { role: "cell", "data-label": title };
    const content = Array.isArray(cells[title]) ? cells[title] : [cells[title]];
    line.append(element(at === 0 ? "th" : "td", { ...attributes, class: kind }, ...content));
  });
  return line;
}

function status(row, underWay) {
  if (underWay) return element("span", { class: "under-way" }, " under way");
  const well = ["completed", "client-left"].includes(row.outcome);
  return element("span", { class: "status" }, ` ${row.status || ""} ${well ? "" : row.outcome}`.trimEnd());
}

function model(row) {
  const made = element("span", { class: "model" });
  made.append(row.asked ? element("code", {}, row.asked) : `${row.method} ${row.path}`.trim() || "–");
  if (row.served && row.served !== row.asked) made.append(" → ", element("code", {}, row.served));
  if (row.role) made.append(" ", element("span", { class: "role", title: "What Amp uses it for" }, row.role));
  return made;
}

function why(row) {
  const sentences = [...row.reasons];
  if (row.why) sentences.push(`It ended so: ${row.why}`);
  if (row.failed.length) sentences.push(`Accounts that failed before: ${row.failed.join(", ")}.`);
  if (!sentences.length) return null;
  const steps = sentences.map((sentence) => element("li", {}, sentence));
  return element("details", { class: "why" }, element("summary", {}, "why"), element("ol", {}, ...steps));
}

function tokens(row) {
  if (row.input === null) return "–";
  const asked = row.input + (row.cache_read || 0) + (row.cache_write || 0);
  const title = `${asked.toLocaleString("en-US")} in, ${(row.output || 0).toLocaleString("en-US")} out`;
  return element("span", { title }, `${count(asked)} / ${count(row.output || 0)}`);
}
