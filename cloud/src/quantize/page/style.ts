/** Two hues that are told apart in grey and by colour-blind eyes: blue for the small model, orange for what got worse. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#20262e;--soft:#5c6773;--paper:#fff;--card:#f4f6f9;--line:#d9dfe6;
--float:#8693a3;--small:#0b62b8;--bad:#b4500b;--good:#1d7a46}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ed;--soft:#9aa6b3;--paper:#14171b;--card:#1d2227;--line:#343b44;
--float:#7d8a99;--small:#6cb2f5;--bad:#f2a35e;--good:#6fcf97}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.5rem 0 .25rem}
p{margin:.25rem 0 .75rem;max-width:48rem}
.soft,small{color:var(--soft)}
code{font:.92em ui-monospace,SFMono-Regular,Consolas,monospace;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(12rem,1fr));gap:.75rem;margin:1.25rem 0}
.tile{background:var(--card);border-radius:.6rem;padding:.8rem 1rem}
.tile b{display:block;font-size:1.45rem;line-height:1.3;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.88rem;display:block}
.scroll{overflow-x:auto}
svg{display:block;width:100%;min-width:34rem;height:auto}
svg+table,.scroll+.scroll{margin-top:1rem}
svg text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink)}
svg text.soft{fill:var(--soft)}
svg .grid{stroke:var(--line)}svg .axis{stroke:var(--soft)}
svg .float{fill:var(--float)}svg .small{fill:var(--small)}svg .bad{fill:var(--bad)}svg .good{fill:var(--good)}
svg .whisker{stroke-width:2;fill:none}svg .whisker.float{stroke:var(--float)}svg .whisker.small{stroke:var(--small)}
svg .empty{fill:var(--card)}
table{border-collapse:collapse;width:100%;min-width:36rem;font-variant-numeric:tabular-nums;font-size:.93rem}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;white-space:nowrap}
code.id{white-space:nowrap}
td.n,th.n{text-align:right;white-space:nowrap}
tr.won td{background:color-mix(in srgb,var(--small) 12%,transparent)}
.key{display:flex;gap:1.25rem;color:var(--soft);font-size:.9rem;margin:.25rem 0 .5rem}
.key i{display:inline-block;width:.75rem;height:.75rem;border-radius:.2rem;margin-right:.4rem;vertical-align:-.05rem}
.key .float{background:var(--float)}.key .small{background:var(--small)}.key .bad{background:var(--bad)}.key .good{background:var(--good)}
.notes{border-left:3px solid var(--bad);padding:.1rem 0 .1rem .9rem;margin:1rem 0}
@media print{main{padding:0}h2{break-after:avoid}.scroll{overflow:visible}}
`
