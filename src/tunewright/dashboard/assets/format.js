// Numbers, times and counts as text, in the form that the terminal uses (tunewright/formatting.py).

/** Read a number of a document; "nan", "inf" and "-inf" stand for those that JSON lacks. */
export function toNumber(value) {
  if (typeof value === "number") return value;
  return {inf: Infinity, "-inf": -Infinity}[value] ?? NaN;
}

/** Format a number with significant digits, as Python's "%.5g". */
export function formatNumber(value, digits = 5) {
  if (value === null || value === undefined) return "-";
  const number = toNumber(value);
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
  if (number === 0) return "0";
  const [mantissa, power] = number.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= digits) {
    const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    return `${short}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const text = number.toFixed(Math.max(0, digits - 1 - exponent));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Format a value of a configuration. */
export function formatValue(value) {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : formatNumber(value, 4);
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null || value === undefined) return "-";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Format seconds as "75 s", "12:05" (minutes) or "3:02:05" (hours). */
export function formatDuration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "-";
  if (seconds < 100) return `${Math.round(seconds)}\u00A0s`;
  const whole = Math.round(seconds),
    hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60,
    rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Format short times, as those of decisions, with their unit. */
export function formatBrief(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  return seconds < 1 ? `${formatNumber(seconds * 1000, 3)}\u00A0ms` : seconds < 100 ? `${formatNumber(seconds, 3)}\u00A0s` : formatDuration(seconds);
}

/** Format dollars: with cents, small ones with four digits; `scale` is the largest of those that are shown together. */
export function formatMoney(value, scale = value) {
  if (value === null || value === undefined) return "-";
  const digits = scale && scale < 0.1 ? 4 : 2;
  return `$${value.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits})}`;
}

/** Format a count, with commas. */
export function formatCount(value) {
  return value === null || value === undefined ? "-" : value.toLocaleString("en-US");
}

/** Format a count with its noun. */
export function plural(n, noun) {
  return `${formatCount(n)} ${n === 1 ? noun : `${noun}s`}`;
}

/** Format a share, as "40 %"; the space does not break. */
export function formatShare(share) {
  return share === null || share === undefined ? "-" : `${Math.round(share * 100)}\u00A0%`;
}

/** Format the mark of an axis: whole numbers with commas, others with four digits. */
export function formatTick(value) {
  return Number.isInteger(value) && Math.abs(value) < 1e6 ? formatCount(value) : formatNumber(value, 4);
}

/** Format seconds since 1970 as local date and time. */
export function formatWall(wall) {
  if (!wall) return "-";
  const date = new Date(wall * 1000),
    two = n => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Format the tuned values of a configuration, as "lr=0.013 width=32". */
export function formatConfig(config) {
  return Object.entries(config ?? {})
    .map(([name, value]) => `${name}=${formatValue(value)}`)
    .join(" ");
}

/** Shorten a text in its middle. */
export function shortened(text, most = 28) {
  if (text.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  return `${text.slice(0, half)}\u2026${text.slice(-half)}`;
}
