/** Losses that are pasted, one after another or as a whole log. */

import type { LogFile } from "./requests";

const NUMBER = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|[+-]?inf(?:inity)?)$/i;

/** Return what is wrong with pasted losses and their rate as a sentence, or null. */
export function troubleIn(text: string, rate: string): string | null {
  const words = wordsOf(text);
  if (words.length === 0) return "There is nothing to diagnose yet. Paste the losses of a run, one after another.";
  const odd = words.find((word) => !NUMBER.test(word));
  // A line of numbers is no header of a log, so a word among them is a slip.
  if (odd !== undefined && NUMBER.test(words[0]!) && !text.trim().includes("\n")) {
    return `“${shortened(odd)}” is no number. Paste the losses one after another, or a whole log with its header.`;
  }
  return troubleOfRate(rate);
}

/** Return what is wrong with a learning rate that was typed, which may be left empty. */
export function troubleOfRate(rate: string): string | null {
  if (rate === "" || (Number(rate) > 0 && Number.isFinite(Number(rate)))) return null;
  return `The learning rate must be a number above zero, such as 0.1, but it is “${shortened(rate)}”. Leave it empty if it is not known.`;
}

/** Return pasted text as a log: losses one after another become a column, anything else stays what it is. */
export function pastedLog(text: string, lr: string | null): LogFile {
  const words = wordsOf(text);
  if (!words.every((word) => NUMBER.test(word))) return { name: "pasted text", content: new Blob([text]), lr };
  return { name: "pasted losses", content: new Blob([`loss\n${words.join("\n")}\n`]), lr };
}

function wordsOf(text: string): string[] {
  return text.split(/[\s,;[\]]+/).filter((word) => word !== "");
}

function shortened(word: string): string {
  return word.length <= 20 ? word : `${word.slice(0, 19)}…`;
}
