// How the report page looks: light and dark, wide and narrow. The charts' colours are replaced where the page is dark.

export const pageStyle = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --card: #f7fafc; --ink: #1a202c; --grey: #5a6778; --line: #e2e8f0; --chart-ink: #2d3748;
  --good: #276749; --bad: #c53030; --blue: #2b6cb0; --orange: #c05621; --bar-orange: #dd6b20;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181f; --card: #1c222b; --ink: #e6eaf0; --grey: #9aa7b8; --line: #303947; --chart-ink: #e6eaf0;
    --good: #68d391; --bad: #fc8181; --blue: #63b3ed; --orange: #f6ad55; --bar-orange: #ed8936;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 62rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .6rem; }
.under, .note, dt, th small, td small { color: var(--grey); }
.under { margin: 0; }
.note { font-size: .875rem; margin: .6rem 0; }
nav { margin-top: .8rem; font-size: .9rem; }
nav a { color: var(--blue); margin-right: .9rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1.5rem 0 0; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.facts dt { font-size: .8rem; }
.facts dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--grey); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .925rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; }
thead th { color: var(--grey); font-weight: 600; }
.number { text-align: right; white-space: nowrap; }
td small { display: block; font-size: .78rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
.settings { columns: 18rem 2; column-gap: 2.5rem; margin: 0; font-size: .925rem; }
.settings div { display: flex; justify-content: space-between; gap: 1rem; padding: .25rem 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.settings dt { flex: none; max-width: 55%; }
.settings dd { margin: 0; text-align: right; min-width: 0; }
figure { margin: 1rem 0; }
svg { display: block; max-width: 100%; height: auto; }
.narrow { display: none; }
.row { margin: 0 0 1.2rem; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
.row h4 { margin: 0; padding: .5rem .8rem; background: var(--card); font-size: .875rem; font-weight: 600; }
.row h4 small { color: var(--grey); font-weight: 400; font-size: inherit; }
.texts { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1px; background: var(--line); border-top: 1px solid var(--line); }
.texts section { background: var(--page); padding: .6rem .8rem; min-width: 0; }
.texts .wide-text { grid-column: 1 / -1; }
.texts h5 { margin: 0 0 .2rem; font-size: .78rem; font-weight: 600; color: var(--grey); }
.text { white-space: pre-wrap; unicode-bidi: isolate; font-size: .925rem; max-height: 22rem; overflow-y: auto; }
.empty { color: var(--grey); font-style: italic; }
@media (max-width: 44rem) {
  body { padding: 1.2rem .8rem 3rem; }
  h1 { font-size: 1.35rem; }
  .wide { display: none; } .narrow { display: block; }
  th, td { padding: .4rem .45rem; }
  .scores thead th:first-child { display: none; }
  .scores tr { display: grid; grid-template-columns: repeat(auto-fit, minmax(5.5rem, 1fr)); border-bottom: 1px solid var(--line); padding: .3rem 0; }
  .scores th, .scores td { border: 0; padding: .1rem .2rem; }
  .scores td:first-child { grid-column: 1 / -1; font-weight: 600; }
  .scores small { white-space: normal; font-size: .72rem; }
  .facts { grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .5rem; }
}
svg [fill="#ffffff"] { fill: var(--page); }
svg [fill="#2d3748"] { fill: var(--chart-ink); } svg [stroke="#2d3748"] { stroke: var(--chart-ink); }
svg [fill="#718096"] { fill: var(--grey); } svg [stroke="#718096"] { stroke: var(--grey); }
svg [stroke="#e2e8f0"] { stroke: var(--line); }
svg [fill="#2b6cb0"] { fill: var(--blue); } svg [stroke="#2b6cb0"] { stroke: var(--blue); }
svg [fill="#dd6b20"] { fill: var(--bar-orange); } svg [stroke="#dd6b20"] { stroke: var(--bar-orange); }
@media print { .text { max-height: none; } }
`;
