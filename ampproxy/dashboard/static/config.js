// The configuration, read anew.

import { ask } from "./calls.js";

export function begin() {
  const button = document.getElementById("reload"), state = document.getElementById("reload-state");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const report = await ask("reload", { method: "POST" });
      const changes = report.changes?.length ? report.changes.join("; ") : "nothing has changed";
      state.textContent = report.ok ? `In force: ${changes}.` : "The file is wrong; the old configuration stays in force.";
      setTimeout(() => location.reload(), 1500);
    } catch (error) {
      state.textContent = error.message;
    }
    button.disabled = false;
  });
}
