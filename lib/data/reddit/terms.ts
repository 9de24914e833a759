// The word lists that relevance, tone and faults are told by. Words and phrases that people who write about money use.

const words = (list: string): string[] => list.split(" ");

/** Words of finance, in lower case, with the plurals that are common. */
export const FINANCE_WORDS: ReadonlySet<string> = new Set(words(
  "account accounts accounting accountant accrual acquisition actuary advisor adviser allocation amortization annuity " +
    "annuities apr apy appraisal appreciation arbitrage asset assets audit auditor auction backtest bailout balance bank banks " +
    "banking bankrupt bankruptcy basis bear bearish benchmark beneficiary beta bid bill bills bitcoin blockchain bond bonds " +
    "bookkeeping borrow borrower borrowing broker brokerage brokers btc bubble budget budgeting bull bullish buyback buyer buyers " +
    "calls capital cash cashflow ceo cfo charge charges checking coin coins collateral commission commodities commodity compound " +
    "compounding consolidation correction cost costs coupon cpi crash credit creditor creditors crypto cryptocurrency currencies " +
    "currency debit debt debts deductible deduction deductions default deficit deflation deposit deposits depreciation " +
    "derivative derivatives devaluation discount diversification diversified diversify dividend dividends dollar dollars " +
    "downturn drawdown earnings economic economics economist economy employer endowment equities equity escrow estate etf etfs eth " +
    "ethereum euro exchange exchanges expense expenses export exports fed fee fees fiat fico fiduciary finance finances financial " +
    "financing fintech fiscal forecast foreclosure forex fraud fund funding funds futures gain gains gdp gold grant gross growth " +
    "hedge hedging heloc holding holdings hsa hyperinflation income index indexes indices inflation inheritance insolvency insurance " +
    "insured interest inventory invest invested investing investment investments investor investors invoice ipo ira irs landlord " +
    "lease leasing lender lenders lending leverage leveraged liabilities liability lien liquid liquidation liquidity loan loans loss " +
    "losses margin margins market markets maturity mergers merger monetary money mortgage mortgages nasdaq nav nft offset option " +
    "options overdraft ownership passive payable payday payment payments payroll peg pension pensions portfolio portfolios premium " +
    "premiums price prices pricing principal profit profitable profits property puts quarter rally rate rates rating ratio " +
    "realtor rebalance rebalancing receivable recession refinance refinancing refund regulation reit reits rent rental repay " +
    "repayment reserve reserves retirement return returns revenue revenues risk risks risky rollover roth salary salaries saver " +
    "saving savings scam sec securities security sell seller sellers selling settlement share shareholder shareholders shares short " +
    "shorting shorts silver solvency spend spending spread spreads stablecoin stake staking stock stocks strike subsidy supply " +
    "surplus swap swaps tariff tariffs tax taxable taxation taxed taxes term theta ticker token tokens trade trader traders trades " +
    "trading transaction transactions treasuries treasury trust trustee underwriting unemployment valuation value vanguard vesting " +
    "volatile volatility wage wages wallet warrant warrants wealth withdraw withdrawal withdrawals yield yields",
));

/** What the similarity of words is measured to. */
export const FINANCE_TOPICS: readonly string[] = words(
  "finance investment market stock trading banking cryptocurrency portfolio dividend economy inflation hedge options futures " +
    "bonds asset risk volatility liquidity valuation yield credit debt equity derivatives leverage margin revenue earnings profit " +
    "balance collateral regulation audit merger acquisition currency index commodities gold interest pension retirement annuity " +
    "diversification treasury securities taxation bankruptcy mortgage insurance savings budget loan income capital dividend fund",
);

/** Names for the rules of entities; organisations and places are told by their capitals. */
export const GROUPS: Record<"products" | "organisations" | "places", readonly string[]> = {
  products: [
    ...words(
      "401k 401(k) 403b 457b 529 IRA IRAs HSA FSA ETF ETFs REIT REITs CD CDs CDO CDS MBS TIPS LEAPS VTI VOO VTSAX SPY QQQ",
    ),
    ...[
      "S&P 500",
      "Dow Jones",
      "Nasdaq",
      "Russell 2000",
      "FTSE 100",
      "mutual fund",
      "mutual funds",
      "index fund",
      "index funds",
    ],
    ...[
      "savings account",
      "credit card",
      "credit cards",
      "Bitcoin",
      "BTC",
      "Ethereum",
      "ETH",
      "Dogecoin",
      "Treasury bill",
    ],
    ...[
      "Treasury bond",
      "Treasury bonds",
      "municipal bond",
      "municipal bonds",
      "covered call",
      "covered calls",
      "life insurance",
    ],
  ],
  organisations: [
    ...words(
      "Fed SEC IRS FDIC FINRA CFTC FOMC FBI IMF ECB BoE BOJ OPEC WTO OECD NYSE NASDAQ CFPB FHA VA HUD HMRC CRA RBA SEBI",
    ),
    ...[
      "Federal Reserve",
      "World Bank",
      "Supreme Court",
      "Congress",
      "Treasury",
      "Wall Street",
      "White House",
      "European Central Bank",
    ],
    ...[
      "Bank of America",
      "Wells Fargo",
      "Goldman Sachs",
      "Morgan Stanley",
      "JP Morgan",
      "Deutsche Bank",
      "Charles Schwab",
    ],
    ...words(
      "JPMorgan Chase Citi Citigroup Citibank Barclays HSBC UBS BlackRock Vanguard Fidelity Schwab Robinhood Etrade E*Trade",
    ),
    ...words(
      "Webull Coinbase Binance Kraken PayPal Venmo Visa Mastercard Amex Equifax Experian TransUnion Moody's Lehman Berkshire",
    ),
    ...words(
      "Apple Amazon Google Alphabet Microsoft Tesla Facebook Meta Netflix Nvidia Intel AMD IBM GameStop GME AMC Costco Walmart",
    ),
    ...words(
      "Target Boeing Ford GM Exxon Chevron Shell BP Disney Uber Lyft Airbnb Zillow Reddit Bloomberg Reuters CNBC Medicare Medicaid",
    ),
  ],
  places: [
    ...words(
      "US USA UK EU Europe America Canada Mexico Brazil Argentina Chile Germany France Italy Spain Portugal Greece Ireland",
    ),
    ...words(
      "England Scotland Britain Netherlands Belgium Switzerland Austria Sweden Norway Denmark Finland Poland Russia Ukraine",
    ),
    ...words(
      "Turkey Israel Iran Iraq India China Japan Korea Taiwan Singapore Vietnam Indonesia Philippines Malaysia Thailand",
    ),
    ...words(
      "Australia Africa Egypt Nigeria Kenya Asia California Texas Florida NYC London Paris Tokyo Toronto Vancouver Sydney",
    ),
    ...[
      "U.S.",
      "U.K.",
      "United States",
      "United Kingdom",
      "European Union",
      "New York",
      "New Zealand",
      "Hong Kong",
      "South Africa",
    ],
    ...[
      "San Francisco",
      "Los Angeles",
      "Silicon Valley",
      "Saudi Arabia",
      "Latin America",
      "Middle East",
      "Puerto Rico",
    ],
  ],
};

/** Eleven kinds of words by which someone speaks to someone; "?" is a mark, the others are whole words. */
export const SPOKEN: readonly (readonly [string, readonly string[]])[] = [
  ["greeting", [
    "hi",
    "hello",
    "hey",
    "thanks",
    "thank you",
    "please",
    "welcome",
    "congrats",
    "good luck",
    "cheers",
  ]],
  ["question", ["?"]],
  ["you", ["you", "your", "yours", "yourself", "you're", "you'll", "you've", "you'd"]],
  ["I", ["i", "me", "my", "mine", "myself", "i'm", "i've", "i'd", "i'll"]],
  ["we", ["we", "us", "our", "ours", "we're", "we've", "we'll"]],
  ["advice", [
    "advice",
    "advise",
    "suggest",
    "recommend",
    "hope",
    "help",
    "should",
    "understand",
    "worth it",
  ]],
  ["invitation", [
    "let me",
    "let's",
    "here's",
    "take a look",
    "consider",
    "keep in mind",
    "check out",
    "feel free",
  ]],
  ["filler", [
    "actually",
    "basically",
    "essentially",
    "specifically",
    "honestly",
    "obviously",
    "well",
    "anyway",
  ]],
  ["assent", [
    "sure",
    "definitely",
    "absolutely",
    "certainly",
    "exactly",
    "agree",
    "agreed",
    "yes",
    "yeah",
    "yep",
    "no",
  ]],
  ["opinion", [
    "think",
    "believe",
    "feel",
    "assume",
    "suppose",
    "guess",
    "imo",
    "imho",
    "in my opinion",
    "personally",
  ]],
  ["contraction", [
    "don't",
    "doesn't",
    "didn't",
    "isn't",
    "can't",
    "won't",
    "it's",
    "that's",
    "they're",
    "there's",
  ]],
];

/** Words that a careful assistant does not use: swearing, sexual words, abuse; "*" stands for any ending. */
export const PROFANE: readonly string[] = words(
  "fuck* motherfuck* wtf stfu gtfo lmfao omfg fml shit* bullshit* horseshit bitch* bastard* asshole* ass dumbass jackass badass crap* " +
    "damn* goddamn* hell dick dicks dickhead* cock cocks cunt* twat* prick pricks piss* slut* whore* porn* nsfw nude nudes naked boobs " +
    "tits dildo* penis* vagina* orgasm* blowjob* handjob* cum fap* hentai* fetish* sexy retard* moron* idiot* imbecile* scumbag* " +
    "douche* loser losers stupid fag fags faggot* nigg* chink* kike* spic spics gook* tranny trannies dyke* wetback* kys",
);

/** Phrases that belong to the post, not to an answer. */
export const BOILERPLATE: readonly string[] = [
  ...[
    "edit:",
    "update:",
    "source:",
    "sources:",
    "disclaimer:",
    "tl;dr",
    "tldr",
    "obligatory",
    "cross-post",
    "crosspost",
    "[deleted]",
  ],
  ...[
    "[removed]",
    "thanks for reading",
    "thank you for reading",
    "ted talk",
    "not financial advice",
    "not investment advice",
  ],
  ...[
    "not a financial advisor",
    "just my opinion",
    "don't sue me",
    "do your own research",
    "do your own dd",
    "do your dd",
  ],
  ...[
    "for entertainment only",
    "entertainment purposes",
    "this is the way",
    "to the moon",
    "diamond hands",
    "i am a bot",
  ],
  ...["this comment has been", "this post has been", "upvote this", "subscribe to my", "link in my bio"],
];
