"""The style sheet of a report: one column, system fonts, light and dark, nothing loaded from elsewhere."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --card: #f8fafc; --ink: #1e293b; --strong: #0f172a; --faint: #64748b; --rule: #e2e8f0;
  --accent: #2563eb; --good: #047857; --good-paper: #ecfdf5; --bad: #b91c1c; --bad-paper: #fef2f2;
  --series-1: #2563eb; --series-2: #ea580c; --series-3: #059669; --series-4: #9333ea;
  --series-5: #dc2626; --series-6: #0891b2; --series-7: #ca8a04; --series-8: #64748b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1420; --card: #171e2d; --ink: #cbd5e1; --strong: #f1f5f9; --faint: #94a3b8; --rule: #2a3446;
    --accent: #7aa7ff; --good: #6ee7b7; --good-paper: #0d2f27; --bad: #fca5a5; --bad-paper: #3a1618;
    --series-1: #7aa7ff; --series-2: #fb923c; --series-3: #34d399; --series-4: #c084fc;
    --series-5: #f87171; --series-6: #22d3ee; --series-7: #facc15; --series-8: #94a3b8;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 66rem; padding: 3rem 1.5rem 5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1, h2, h3 { color: var(--strong); line-height: 1.25; letter-spacing: -.012em; text-wrap: balance; }
h1 { font-size: 2rem; margin: 0; }
h2 { font-size: 1.35rem; margin: 3.25rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .6rem 0; max-width: 46rem; }
.subtitle { color: var(--faint); font-size: 1.05rem; margin: .4rem 0 0; }
nav { margin: 1.4rem 0 0; font-size: .9rem; display: flex; flex-wrap: wrap; gap: .35rem 1.2rem; }
nav a { color: var(--accent); text-decoration: none; }
nav a:hover { text-decoration: underline; }
code, pre { font: .875em/1.55 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace; }
p code, td code, dd code { background: var(--card); border-radius: 4px; padding: .1em .35em; }

.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .925rem; font-variant-numeric: tabular-nums; }
table.results { width: 100%; }
table.plain :is(th, td):not(:last-child) { padding-right: 2.5rem; }
caption, figcaption, .note { color: var(--faint); font-size: .875rem; line-height: 1.45; }
caption { caption-side: bottom; text-align: left; padding-top: .6rem; }
th { color: var(--faint); font-weight: 500; font-size: .82rem; border-bottom: 1px solid var(--rule); }
th, td { text-align: left; padding: .5rem 1.1rem .5rem 0; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
tbody tr + tr td, tbody tr + tr th { border-top: 1px solid var(--rule); }
th.number, td.number { text-align: right; white-space: nowrap; }
td.ours { color: var(--strong); font-weight: 650; }
td small { display: block; color: var(--faint); font-size: .78rem; white-space: normal; }
.badge { border-radius: 99px; padding: .1rem .6rem; font-size: .8rem; font-weight: 600; white-space: nowrap; }
.badge.yes { color: var(--good); background: var(--good-paper); }
.badge.no { color: var(--bad); background: var(--bad-paper); }

.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem; margin: 1.5rem 0;
}
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: .9rem 1.1rem; }
.tile b {
  display: block; color: var(--strong); font-size: 1.5rem; font-weight: 650; line-height: 1.3;
  font-variant-numeric: tabular-nums;
}
.tile span { display: block; color: var(--faint); font-size: .85rem; line-height: 1.4; }

dl {
  display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .35rem 1.5rem;
  margin: 1rem 0; font-size: .925rem;
}
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }

figure { margin: 1.2rem 0; }
figcaption { margin-top: .6rem; max-width: 46rem; }
img { display: block; image-rendering: pixelated; }
.frame { overflow-x: auto; }
.frame img { max-width: none; }
.rows { display: grid; grid-template-columns: max-content max-content; gap: .5rem 1rem; align-items: center; }
.rows .names { display: flex; color: var(--faint); font-size: .82rem; font-weight: 500; }
.rows .names span { flex: none; line-height: 1.3; }
.rows .label { color: var(--faint); font-size: .85rem; text-align: right; max-width: 11rem; }
.gallery { display: flex; flex-wrap: wrap; gap: 1rem; }
.gallery > div { color: var(--faint); font-size: .82rem; line-height: 1.35; }
.gallery img { margin-bottom: .3rem; border-radius: 3px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
.charts > div { border: 1px solid var(--rule); border-radius: 10px; padding: .8rem .6rem .4rem; }
.charts svg { display: block; width: 100%; height: auto; }

.commands { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; margin: 1rem 0; }
.commands pre { margin: 0; padding: .9rem 1.1rem; overflow-x: auto; color: var(--strong); }
.commands .comment { color: var(--faint); }
.commands .command { user-select: all; }
footer { margin-top: 4rem; color: var(--faint); font-size: .82rem; }
@media print { body { max-width: none; padding: 0; } figure, table, .tile { break-inside: avoid; } }
"""
