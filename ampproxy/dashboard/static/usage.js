// The plot of usage by day: bars, one group on another. uPlot draws; the numbers are the admin API's.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { ask } from "./calls.js";
import { count, dollars, element } from "./format.js";

// Told apart also by who does not see all colours; for light and dark grounds.
const COLOURS = {
  light: ["#2559bd", "#d9731a", "#2b8a57", "#8a4bb8", "#b33a4a", "#0f7f93", "#8a6d1d", "#5c6778", "#9aa3b2"],
  dark: ["#7aa7ff", "#f2a65a", "#6fd09b", "#c79bf0", "#f08a95", "#58c8da", "#d8bb5f", "#a3adbd", "#6b7688"],
};
const SHOWN = { usd: dollars, amp_usd: dollars, tokens: count, requests: (number) => number.toLocaleString("en-US") };

export async function begin() {
  const figure = document.querySelector("figure.plot");
  if (!figure) return;
  const query = new URLSearchParams(location.search);
  const asked = new URLSearchParams({ by: query.get("by") || "model", days: query.get("days") || "30" });
  const usage = await ask(`usage?${asked}`);
  figure.hidden = false;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const buttons = [...figure.querySelectorAll("button[data-measure]")];
  let measure = usage.total.cost.usd > 0 ? "usd" : "tokens", plot = null;

  const draw = () => {
    plot?.destroy();
    plot = drawn(usage, measure, dark.matches ? "dark" : "light");
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.measure === measure));
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      measure = button.dataset.measure;
      draw();
    });
  }
  dark.addEventListener("change", draw);
  new ResizeObserver(() => plot?.setSize(size())).observe(document.getElementById("plot"));
  draw();
}

function size() {
  const box = document.getElementById("plot");
  return { width: box.clientWidth, height: box.clientHeight };
}

function drawn(usage, measure, scheme) {
  const days = allDays(usage.since, usage.until);
  const names = [...new Set(usage.days.map((day) => day.name))];
  const totals = new Map(names.map((name) => [name, 0]));
  for (const day of usage.days) totals.set(day.name, totals.get(day.name) + day[measure]);
  names.sort((a, b) => (a === "(others)") - (b === "(others)") || totals.get(b) - totals.get(a));

  // Each group stands on those before it: what is drawn first, the whole, is painted over by the rest.
  const at = new Map(days.map((day, index) => [day, index]));
  const stacked = [];
  const heights = new Array(days.length).fill(0);
  for (const name of names) {
    for (const day of usage.days) if (day.name === name) heights[at.get(day.day)] += day[measure];
    stacked.push([...heights]);
  }
  const colours = COLOURS[scheme];
  const colour = (index) => colours[Math.min(index, colours.length - 1)];
  const style = getComputedStyle(document.documentElement);
  const line = style.getPropertyValue("--line"), quiet = style.getPropertyValue("--quiet");
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: quiet, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  const series = names.map((name, index) => ({
    label: name,
    fill: colour(index),
    width: 0,
    points: { show: false },
    paths: uPlot.paths.bars({ size: [0.7, 46] }),
  }));
  const show = SHOWN[measure];
  const options = {
    ...size(),
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    scales: {
      x: { time: false, range: () => [-0.6, days.length - 0.4] },
      y: { range: (self, low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 26,
        splits: () => spread(days.length),
        values: (self, splits) => splits.map((index) => days[index]?.slice(5) ?? ""),
      },
      { ...axis, size: 64, values: (self, splits) => splits.map((value) => (value ? show(value) : "0")) },
    ],
    series: [{}, ...series.reverse()],
    hooks: { setCursor: [(self) => legend(self.cursor.idx)] },
  };
  const byName = (name, index) =>
    usage.days.find((day) => day.name === name && day.day === days[index])?.[measure] ?? 0;

  function legend(index) {
    const list = document.getElementById("legend");
    const known = index !== null && index !== undefined && days[index] !== undefined;
    const items = names.map((name, number) => {
      const value = known ? byName(name, index) : totals.get(name);
      const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const square = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [key, text] of [["width", "11"], ["height", "11"], ["fill", colour(number)]]) square.setAttribute(key, text);
      swatch.setAttribute("aria-hidden", "true");
      swatch.append(square);
      return element("li", {}, swatch, name, element("output", {}, value ? show(value) : "–"));
    });
    if (known) items.unshift(element("li", {}, days[index]));
    list.replaceChildren(...items);
  }

  const box = document.getElementById("plot");
  box.replaceChildren();
  const made = new uPlot(options, [days.map((_, index) => index), ...stacked.reverse()], box);
  legend(null);
  return made;
}

function allDays(since, until) {
  const days = [];
  const end = Date.parse(until);
  for (let day = Date.parse(since); day <= end; day += 86400000) days.push(new Date(day).toISOString().slice(0, 10));
  return days;
}

// Which days are named: some seven, or all where there are few.
function spread(length) {
  const step = Math.max(1, Math.ceil(length / 7));
  const found = [];
  for (let index = length - 1; index >= 0; index -= step) found.unshift(index);
  return found;
}
