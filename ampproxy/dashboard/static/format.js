// How numbers, times and spans are shown: as the server's own tables show them.

const UNITS = ["k", "M", "G", "T"];

export function count(number) {
  if (number < 1000) return String(number || "–");
  let value = number, unit = "";
  for (unit of UNITS) {
    value /= 1000;
    if (value < 999.5) break;
  }
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0) + unit;
}

export function dollars(amount) {
  if (amount === 0) return "$0";
  if (amount < 0.0001) return "<$0.0001";
  return amount >= 0.01
    ? "$" + amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })
    : "$" + amount.toFixed(4);
}

export function took(ms) {
  return ms < 1000 ? `${ms} ms` : ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : `${(ms / 60000).toFixed(1)} min`;
}

export function span(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 120) return `${left} s`;
  const minutes = Math.round(left / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60), rest = minutes % 60;
  if (hours < 24) return rest ? `${hours} h ${rest} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

export function time(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

// An element with text or elements in it; never markup from a string.
export function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== "") made.setAttribute(key, value);
  }
  made.append(...content.filter((one) => one !== null && one !== undefined));
  return made;
}

// Times by the clock of who looks, and spans that run.
export function settleTimes(root = document) {
  for (const one of root.querySelectorAll("time[data-form]")) {
    const at = new Date(one.dateTime);
    const clock = at.toLocaleTimeString("en-GB");
    one.textContent = one.dataset.form === "time" ? clock : `${at.toLocaleDateString("sv-SE")} ${clock.slice(0, 5)}`;
    one.title = at.toString();
  }
}

export function runSpans() {
  const show = () => {
    for (const one of document.querySelectorAll("[data-until]")) {
      one.textContent = span(Number(one.dataset.until) - Date.now() / 1000);
    }
  };
  show();
  setInterval(show, 1000);
}
