// Times and numbers as people read them.

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit" });

/** The time of day, with the date when it is another day. */
export function moment(seconds) {
  const date = new Date(1000 * seconds);
  if (seconds === null || Number.isNaN(date.getTime())) return ""; // no time, or one that no calendar has
  const clock = CLOCK.format(date);
  return DAY.format(date) === DAY.format(new Date()) ? clock : `${DAY.format(date)} ${clock}`;
}

/** How long ago, in one unit. */
export function ago(seconds) {
  const passed = Math.max(Date.now() / 1000 - seconds, 0);
  return `${span(passed)} ago`;
}

/** A duration in one unit. */
export function span(seconds) {
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export function count(number, noun) {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

export function bytes(number) {
  if (number < 1000) return `${number} B`;
  const power = Math.min(Math.floor(Math.log10(number) / 3), 4);
  return `${(number / 1000 ** power).toPrecision(3)} ${["", "k", "M", "G", "T"][power]}B`;
}
