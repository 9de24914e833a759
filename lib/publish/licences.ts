// What the Hub's pages of a base and of data sets say about their licences.
import { apiFetch } from "../hub/api.ts";
import { isHubName, repository } from "../hub/names.ts";
import type { HubSettings } from "../hub/settings.ts";

/** Where people look models up, whatever mirror they are fetched from. */
export const HUB_PAGE = "https://huggingface.co";

/** The key of a licence. */
export const licenceOf = (kind: "model" | "dataset", name: string): string => `${kind} ${name}`;

/** Asks for the licences of those that are on the Hub; whatever cannot be found out is left away. */
export async function findLicences(
  base: string | undefined,
  datasets: readonly string[],
  settings: HubSettings,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const wanted = [
    ...(base ? [["model", base] as const] : []),
    ...datasets.map((name) => ["dataset", name] as const),
  ];
  for (const [kind, name] of wanted) {
    if (!isHubName(name) || !name.includes("/")) continue;
    const licence = await statedLicence(kind, name, settings).catch(() => undefined);
    if (licence) found.set(licenceOf(kind, name), licence);
  }
  return found;
}

async function statedLicence(
  kind: "model" | "dataset",
  name: string,
  settings: HubSettings,
): Promise<string | undefined> {
  const { datasetInfo, modelInfo } = await import("@huggingface/hub");
  const fetch = apiFetch(repository(kind, name), settings, 1);
  const wanted = { name, hubUrl: settings.endpoint, fetch, additionalFields: ["cardData" as const] };
  const { cardData } = (kind === "model" ? await modelInfo(wanted) : await datasetInfo(wanted)) as {
    cardData?: { license?: unknown; license_name?: unknown; license_link?: unknown };
  };
  const [stated] = [cardData?.license].flat();
  if (typeof stated !== "string" || !/^[\w.-]{1,60}$/.test(stated)) return undefined;
  const { license_name: name_, license_link: link } = cardData!;
  // "other" has its name beside it.
  const own = [name_, link].find((text) => typeof text === "string" && /^[\w.:/-]{1,200}$/.test(text));
  return stated === "other" && own ? String(own) : stated;
}
