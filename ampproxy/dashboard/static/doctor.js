// The doctor, called and waited for.

import { ask } from "./calls.js";

export function begin() {
  const button = document.getElementById("call-doctor"), state = document.getElementById("doctor-state");
  button.hidden = false;
  const waitFor = async () => {
    button.disabled = true;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      if ((await ask("doctor")).state !== "running") return location.reload();
    }
  };
  if (state.dataset.state === "running") waitFor();
  button.addEventListener("click", async () => {
    state.textContent = "The doctor is at work …";
    try {
      await ask("doctor/run", { method: "POST" });
      await waitFor();
    } catch (error) {
      state.textContent = error.message;
      button.disabled = false;
    }
  });
}
