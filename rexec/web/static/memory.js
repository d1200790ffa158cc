// What this browser remembers: how a dataset was drawn last. Nothing of it is needed.

const PREFIX = "rexec ";
const MOST = 200;

export function remembered(key) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + key));
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    const own = Object.keys(localStorage).filter((each) => each.startsWith(PREFIX));
    if (own.length >= MOST) localStorage.removeItem(own[0]);
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Storage may be switched off.
  }
}
