// Plain prose about nothing in particular, written for this library: what a tuned model should still find as likely as before.

/**
 * Sixteen short English paragraphs on everyday subjects, none of them finance: a small, always available text for
 * {@linkcode forgetting}. Give longer texts of your own where the answer matters.
 */
export const generalText: readonly string[] = [
  "The bridge was built in the summer when the river was low. Workers carried stones from the quarry on the hill and set " +
  "them in rows, the largest at the bottom. By autumn the two sides met in the middle, and the first cart crossed over " +
  "while the whole village watched from the bank.",
  "To make a simple soup, cut two onions, three carrots and a stick of celery into small pieces and cook them slowly in a " +
  "little butter. Add a litre of water, salt and a bay leaf, and let everything simmer for forty minutes. Take out the leaf " +
  "before you serve the soup with bread.",
  "Bees find their way home by the position of the sun. Even when clouds cover most of the sky, a small patch of blue is " +
  "enough, because the light from it is polarised in a pattern that their eyes can read. On dark days they stay in the hive.",
  "The train to the coast leaves at ten past seven from platform four. It stops at every small station on the way, so the " +
  "journey takes nearly three hours, but the view over the marshes is worth the time. Sit on the left side if you can.",
  "My grandmother kept her letters in a wooden box under the stairs. Most of them came from her brother, who had gone to " +
  "sea when he was sixteen and wrote from every harbour. He described the weather, the food and the birds, and he never " +
  "once said that he missed her.",
  "A telescope gathers more light than the human eye, and that matters more than how much it magnifies. A mirror that is " +
  "twice as wide collects four times as much light. This is why astronomers want large mirrors on high mountains, where " +
  "the air is thin, dry and still.",
  "The library opens at nine in the morning and closes at six in the evening, except on Wednesdays, when it stays open " +
  "until eight. Members may take home up to ten books for four weeks. If nobody else is waiting for a book, you can keep " +
  "it for another four weeks.",
  "In the third set the younger player began to tire. She missed two easy shots at the net and served twice into the same " +
  "corner, where her opponent was already waiting. Still, the crowd was on her side, and every point that she won was " +
  "greeted with a roar.",
  "Water freezes from the top down, because ice is lighter than the water below it. A pond that is deep enough never " +
  "freezes to the bottom, and so the fish survive the winter in the dark, moving slowly and eating almost nothing until " +
  "the days grow longer.",
  "The museum has only one painting by her, and it hangs in a narrow corridor near the stairs. It shows an empty kitchen " +
  "in the afternoon: a table, a chair, a window with a blue curtain. People walk past it on their way to the larger rooms. " +
  "Those who stop usually stay for a long time.",
  "Before you plant the seeds, loosen the soil to the depth of a hand and remove the stones and the roots of old weeds. " +
  "Press each seed in as deep as it is thick, cover it lightly and water it. Keep the bed moist until the first green " +
  "leaves appear after about two weeks.",
  '"Did you lock the door?" she asked when they had reached the corner. He stopped and felt in his pockets. "I think ' +
  'so," he said, but he did not sound certain. They stood for a moment in the rain, and then, without another word, both ' +
  "of them turned around and walked back.",
  "The alphabet that we use today has travelled a long way. Its letters came from the traders of an eastern coast, who had " +
  "borrowed the idea from the signs of an older people. The Greeks added letters for vowels, and the Romans gave the shapes " +
  "the form that is carved on their arches.",
  "A good map leaves things out. If every tree and every fence were drawn, nobody could find the road. The person who makes " +
  "the map decides what the traveller needs to know, and that decision is the real work; the drawing itself is the easy part.",
  "During the night the wind changed and the fog came in from the lake. In the morning we could not see the other side of " +
  "the street. Cars moved slowly with their lamps lit, and from somewhere above the roofs we heard geese that had lost " +
  "their way calling to each other.",
  "The heart of an adult beats about seventy times in a minute when the body is at rest. Children's hearts beat faster, and " +
  "those of trained runners more slowly. When we climb stairs, the muscles need more oxygen, and within a few seconds the " +
  "heart answers by beating faster and harder.",
];
