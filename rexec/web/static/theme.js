// Colours of plots, from the same CSS variables as the rest of the page.

/** The colours of now: they follow the system's light or dark mode. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: of("text"), muted: of("muted"), grid: of("grid"), back: of("panel"), edge: of("edge"),
    lines: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => of(`line-${number}`)),
  };
}

/** Call a listener when the system changes between light and dark; returns what ends that. */
export function onTheme(listener) {
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", listener);
  return () => query.removeEventListener("change", listener);
}
