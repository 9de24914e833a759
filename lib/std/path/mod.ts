// Stands in for jsr:@std/path where JSR is out of reach: the same functions from the npm mirror of Deno's std, with types.
// Deleting the "links" line of the root deno.json is all that a machine with JSR needs.
// @ts-types="./types.d.ts"
export {
  basename,
  dirname,
  extname,
  fromFileUrl,
  join,
  resolve,
  toFileUrl,
} from "npm:deno-std@1.4.0/path/mod.js";
