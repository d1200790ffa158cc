// Makes elements. Text enters the page here alone, and only as text: no string is ever read as HTML.

const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Text from elsewhere, shortened, with the characters that hide or reorder text as escapes. */
export function shown(text, most = 300) {
  const whole = String(text);
  const part = whole.length > most ? `${whole.slice(0, most)}…` : whole;
  return part.replace(UNSAFE, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A name from elsewhere: of a long one the beginning and the end, where names of one group differ; an empty one in quotes. */
export function shownName(name, most = 120) {
  if (!name.trim()) return JSON.stringify(name.slice(0, most));
  const end = Math.floor(most / 3);
  return name.length > most ? `${shown(name.slice(0, most - end))}…${shown(name.slice(-end))}` : shown(name);
}

/** An element. Properties: `class`, `on` (listeners by event), `data`, ARIA and other attributes; children: nodes or text. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "value" || name === "checked" || name === "disabled" || name === "hidden") {
      element[name] = value;
    } else if (name === "text") {
      element.textContent = shown(value);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

/** A name or message of elsewhere: isolated, so that its writing direction does not reach what stands around it. */
export function told(text, most) {
  return h("bdi", {}, shown(text, most));
}

/** A name from elsewhere, as `told`; the whole of a long one is its tooltip. */
export function named(name, most = 120) {
  return h("bdi", { title: name.length > most ? shown(name) : null }, shownName(name, most));
}

/** Sets the text of an element, if it differs: screen readers are told of every change. */
export function setText(element, text) {
  const safe = shown(text, 4000);
  if (element.textContent !== safe) element.textContent = safe;
}
