// Stands in for jsr:@std/cli where JSR is out of reach: the same function from the npm mirror of Deno's std, with types.
// @ts-types="./types.d.ts"
export { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
