// The formats of JSON Schema that a string can be held to, as patterns; dates are days that there are.

const DATE = "(?:" +
  "\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))" +
  "|(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
const TIME = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
const HEX = "[0-9a-fA-F]";

/** Patterns that a whole string of the format matches. */
export const FORMATS: Record<string, string | undefined> = {
  date: DATE,
  time: TIME,
  "date-time": `${DATE}T${TIME}`,
  email: `(?=[^@]{1,64}@)(?=.{1,254}$)[a-zA-Z0-9_+-]+(?:\\.[a-zA-Z0-9_+-]+)*@(?:${LABEL}\\.)+[a-zA-Z]{2,63}`,
  hostname: `(?=.{1,253}$)${LABEL}(?:\\.${LABEL}){0,8}`,
  ipv4: `${BYTE}(?:\\.${BYTE}){3}`,
  uuid: `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`,
};
