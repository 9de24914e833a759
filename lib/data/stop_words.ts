// English function words: articles, pronouns, prepositions, conjunctions, auxiliaries and adverbs that say nothing of a topic.

/** Words in lower case that comparing texts leaves out; single letters and words cut at an apostrophe are not in it. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  ("a an the this that these those such same other others another each every either neither both all any some none no nor not " +
    "only own few fewer little less least many more most much several enough " +
    "i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself " +
    "we us our ours ourselves they them their theirs themselves one ones " +
    "anybody anyone anything anywhere everybody everyone everything everywhere nobody noone nothing nowhere somebody someone " +
    "something somewhere who whom whose which what whatever whichever whoever " +
    "about above across after against along alongside amid among amongst around as at atop before behind below beneath beside " +
    "besides between beyond but by despite down during except for from in inside into like near of off on onto out outside over " +
    "past per since than through throughout till to toward towards under underneath until unto up upon via with within without " +
    "and or so yet because although though if unless whether while whereas whenever wherever when where why how however " +
    "therefore thus hence otherwise else instead moreover furthermore nevertheless nonetheless meanwhile " +
    "am is are was were be been being do does did doing done have has had having can could may might must shall should will " +
    "would ought cannot get gets got getting go goes going gone " +
    "again almost already also always anyway away back ever even here hereby indeed just maybe mostly namely never next now often " +
    "once perhaps quite rather really seldom soon still then thence there thereby therein too twice usually very well " +
    "ago etc eg ie let lets")
    .split(" "),
);
