// The signatures of the functions of @std/path that this project uses.
export function basename(path: string | URL, suffix?: string): string;
export function dirname(path: string | URL): string;
export function extname(path: string | URL): string;
export function fromFileUrl(url: string | URL): string;
export function join(path: string | URL, ...paths: string[]): string;
export function resolve(...paths: string[]): string;
export function toFileUrl(path: string): URL;
