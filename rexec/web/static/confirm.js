// Asks a person before something is done, and does it: only in a page that was started with --control.

import { h, setText, shown } from "./dom.js";

let count = 0;

/** Ask, then send the order. `field`: a text to be typed, with its label and present value. Resolves to true when done. */
export function confirmAndDo(question, order, field = null) {
  return new Promise((resolve) => {
    const id = `confirm-${(count += 1)}`;
    const problem = h("p", { class: "bad", role: "alert" });
    const input = field && h("input", { id: `${id}-text`, value: shown(field.value, 4000), autocomplete: "off" });
    const yes = h("button", { type: "submit" }, "Do it");
    const form = h("form", { method: "dialog" }, h("h2", { id }, shown(question, 300)),
      field && h("p", {}, h("label", { for: `${id}-text` }, `${field.label} `), input), problem,
      h("p", { class: "tool-row" }, yes, h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel")));
    const dialog = h("dialog", { "aria-labelledby": id }, form);
    let isDone = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      yes.disabled = true;
      const answer = await send(field ? { ...order, [field.name]: input.value } : order);
      yes.disabled = false;
      setText(problem, answer.problem ?? "");
      isDone = !answer.problem;
      if (isDone) dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isDone);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

async function send(order) {
  try {
    const response = await fetch("/api/act", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(order) });
    return await response.json();
  } catch {
    return { problem: "The server did not answer; look whether it was done." };
  }
}
