// People, firms and places for the generated text. All firms are invented: a first and a second word put together.

import type { Random } from "./random.ts";

export const people = (
  "Anna Ben Clara David Elena Felix Grace Hugo Ines Jonas Karim Laura Mara Nils Olga Paul Rosa Samir Tara Victor " +
  "Wanda Yusuf Zoe Aisha Bruno Carmen Diego Emma Farid Gina Henry Irene Jamal Kira Leo Mina Noah Omar Petra Ravi"
).split(" ");

const firmFirst = (
  "Alder Amber Arrow Aspen Beacon Birch Bright Canyon Cedar Clear Cobalt Copper Coral Crown Delta Eagle Ember Falcon " +
  "Garnet Golden Granite Harbor Hazel Iron Ivory Juniper Lake Laurel Lunar Maple Meadow Metro Nova North Oak Orchid " +
  "Pacific Pearl Pine Polar Quartz Raven River Ruby Sage Silver Solar Spruce Sterling Summit Tidal Umber Valley Willow"
).split(" ");

/** The second word of a firm's name, and what such a firm sells. */
export const trades = {
  Foods: "food",
  Motors: "cars",
  Energy: "power",
  Textiles: "cloth",
  Software: "software",
  Steel: "steel",
  Toys: "toys",
  Paper: "paper",
  Glass: "glass",
  Pharma: "medicine",
  Air: "flights",
  Hotels: "hotel rooms",
  Books: "books",
  Tools: "tools",
  Shoes: "shoes",
  Chips: "computer chips",
  Dairy: "milk and cheese",
  Timber: "wood",
} as const;

export const cities = (
  "Lisbon Oslo Porto Vienna Dublin Madrid Warsaw Athens Prague Berlin Milan Geneva Boston Denver Austin Chicago " +
  "Toronto Lima Cairo Nairobi Accra Mumbai Delhi Osaka Seoul Hanoi Sydney Perth Auckland Bogota"
).split(" ");

export const months = (
  "January February March April May June July August September October November December"
).split(" ");

/** One of about a thousand firms. */
export function drawFirm(random: Random): { name: string; sells: string } {
  const [second, sells] = random.pick(Object.entries(trades));
  return { name: `${random.pick(firmFirst)} ${second}`, sells };
}

/** `count` people with different names. */
export function drawPeople(random: Random, count: number): string[] {
  return random.shuffle(people).slice(0, count);
}
