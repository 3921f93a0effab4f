/** Numbers as people read them. */

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const MINUS = "−";
const THIN_SPACE = "\u2009";

/**
 * Write a number with a few significant digits, as Python's `g` does: plain where that is short, else with a power of
 * ten, and without the zeros at its end.
 */
export function general(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return notFinite(value);
  if (value === 0) return "0";
  const [mantissa, exponent] = scientific(value, digits);
  if (exponent < -4 || exponent >= Math.max(digits, 5)) return `${signed(trimmed(mantissa))}e${exponent < 0 ? MINUS : ""}${Math.abs(exponent)}`;
  return signed(trimmed(value.toFixed(Math.max(0, digits - 1 - exponent))));
}

/** Write a number as general does, with its power of ten as one writes it by hand: 1.2 × 10⁻⁵. */
export function written(value: number, digits = 3): string {
  const [mantissa, power] = general(value, digits).split("e");
  return power === undefined ? mantissa! : `${mantissa}${THIN_SPACE}×${THIN_SPACE}${powerOfTen(Number(power.replace(MINUS, "-")))}`;
}

/** Write a number with so many decimals. */
export function fixed(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return notFinite(value);
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : signed(text);
}

/** Write a count with its thousands apart. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, THIN_SPACE);
}

/** Write a count with what is counted: 1 step, 2 steps. */
export function counted(value: number, singular: string, plural = `${singular}s`): string {
  return `${count(value)} ${value === 1 ? singular : plural}`;
}

/** Write a power of ten: 10⁻³. */
export function powerOfTen(exponent: number): string {
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[Number(digit)]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

/** Write a share as a percentage, never rounding up to all of it. */
export function percentage(share: number): string {
  return `${Math.floor(100 * share + 1e-9)}${THIN_SPACE}%`;
}

function notFinite(value: number): string {
  return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : `${MINUS}∞`;
}

function scientific(value: number, digits: number): [string, number] {
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  return [mantissa!, Number(exponent)];
}

function trimmed(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function signed(text: string): string {
  return text.replace("-", MINUS);
}
