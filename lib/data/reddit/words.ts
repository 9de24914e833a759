// Patterns that match whole words, with letters and digits of every script (JavaScript's \b knows only ASCII).

/** Text as a pattern that matches just it. */
export const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The source of a pattern that matches only where no letter, digit or underscore stands beside it. */
export const whole = (source: string): string => String.raw`(?<![\p{L}\p{N}_])(?:${source})(?![\p{L}\p{N}_])`;
