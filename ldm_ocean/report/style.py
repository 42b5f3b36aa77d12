"""The page's style sheet: light and dark by the reader's preference, and paper."""

CSS = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5d6975; --paper: #fbfbf9; --line: #d9dcdf; --tint: #eef2f4;
  --accent: #14617f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ea; --soft: #9aa5af; --paper: #14181c; --line: #343b42;
  --tint: #1d2329; --accent: #7cc4df; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  "DejaVu Sans", sans-serif; }
main, header { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 36px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 22px; margin: 44px 0 10px; padding-top: 14px; border-top: 2px solid var(--accent); }
h3 { font-size: 17px; margin: 30px 0 6px; }
h4 { font-size: 15px; margin: 18px 0 4px; }
p { max-width: 76ch; margin: 6px 0 12px; }
.soft, figcaption, small { color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 10px 0; border-bottom: 1px solid var(--line); }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
figure { margin: 14px 0 24px; } figure svg { max-width: 100%; height: auto; display: block; }
figure image { image-rendering: pixelated; }
figcaption { font-size: 14px; max-width: 90ch; margin-top: 6px; }
.tables { display: flex; flex-wrap: wrap; gap: 4px 36px; align-items: flex-start; }
.wide { overflow-x: auto; margin: 10px 0 14px; max-width: 100%; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 4px 0 6px; }
th, td { padding: 4px 0 4px 14px; text-align: right; border-bottom: 1px solid var(--line); vertical-align: bottom; }
th { font-weight: 500; } tbody th, thead th:first-child { text-align: left; padding: 4px 8px 4px 0; }
thead th { border-bottom: 1px solid var(--soft); } th small { display: block; font-weight: 400; font-size: 11.5px;
  line-height: 1.25; max-width: 72px; margin-left: auto; }
td b { color: var(--accent); font-weight: 700; }
dl { display: grid; grid-template-columns: minmax(110px, max-content) 1fr; gap: 3px 20px; margin: 0;
  font-size: 14.5px; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; } dd > dl { padding-bottom: 8px; }
code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.settings { background: var(--tint); padding: 8px 14px; border-radius: 6px; display: inline-block; margin: 2px 0 6px; }
.settings span { white-space: nowrap; margin-right: 22px; }
details { margin: 10px 0 20px; } summary { cursor: pointer; color: var(--accent); }
footer { color: var(--soft); font-size: 13px; margin: 44px 0 36px; }
@media print { body { background: #fff; color: #000; font-size: 11pt; } nav { display: none; } figure, table, tr
  { break-inside: avoid; } figure svg { max-height: 235mm; max-width: 100%; } h2, h3 { break-after: avoid; } }
"""
