/** The report's style sheet. Colours of lines are told apart by readers who see no red or no green (after Okabe & Ito 2008). */
export const STYLE = `
:root{color-scheme:light dark;--back:#fbfbfa;--card:#fff;--text:#1c1d1f;--quiet:#666a70;--line:#e2e3e5;--bar:#8fa9c4;--marked:#d55e00;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#b58900;--c5:#56b4e9}
@media(prefers-color-scheme:dark){:root{--back:#141517;--card:#1c1e21;--text:#e8e9ea;--quiet:#9aa0a6;--line:#33363a;--bar:#4f6b88;--marked:#ff8c42;
--c0:#4aa8e8;--c1:#ff8c42;--c2:#2cc79a;--c3:#e39bc4;--c4:#e0b83a;--c5:#8fd3ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}
main{max-width:760px;margin:0 auto;padding:32px 16px 64px}
header p{margin:0;color:var(--quiet)}
h1{margin:2px 0 6px;font-size:28px;line-height:1.2;overflow-wrap:anywhere}
h2{margin:0 0 12px;font-size:17px}
h3{margin:20px 0 4px;font-size:14px}
h3:first-of-type{margin-top:0}
section{margin-top:20px;padding:20px;background:var(--card);border:1px solid var(--line);border-radius:10px}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--quiet);font:11px system-ui,sans-serif}
.grid{stroke:var(--line)}
.bar{fill:var(--bar)}.marked{fill:var(--marked)}
polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}
${[0, 1, 2, 3, 4, 5].map((i) => `.line${i}{stroke:var(--c${i})}.fill${i}{fill:var(--c${i})}.back${i}{background:var(--c${i})}`).join("")}
ul{margin:0;padding:0;list-style:none}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;padding-left:68px;font-size:13px}
.legend i{display:inline-block;width:12px;height:3px;margin:0 6px 4px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:8px;margin-bottom:16px}
.tiles li{padding:10px 12px;border:1px solid var(--line);border-radius:8px;color:var(--quiet);font-size:13px}
.tiles b{display:block;color:var(--text);font-size:22px;line-height:1.3}
.members{display:grid;grid-template-columns:repeat(auto-fill,minmax(64px,1fr));gap:8px;margin:12px 0 20px}
.members figure{margin:0;text-align:center}
.members img,.members .none{display:block;width:64px;height:64px;margin:0 auto;object-fit:contain;image-rendering:pixelated;border:1px solid var(--line);border-radius:6px}
.members .none{font-size:11px;color:var(--quiet)}
.members figcaption{font-size:13px}
.members small{margin-left:5px;color:var(--quiet)}
.members i{display:inline-block;width:8px;height:8px;margin-right:5px;border-radius:50%}
.plane{max-width:420px;margin:0 auto}
.note{margin:6px 0 0;color:var(--quiet);font-size:13px}
.warning{margin:0 0 12px;padding:10px 12px;border-left:3px solid var(--marked)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{padding:4px 14px 4px 0;border-top:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400;overflow-wrap:anywhere}
tr:first-child>*{border-top:0}
th{color:var(--quiet);white-space:nowrap}
td:nth-child(2):not(:last-child){white-space:nowrap}
@media(max-width:560px){section{padding:14px}svg text{font-size:15px}}
summary{cursor:pointer;color:var(--quiet);font-size:13px}
details[open] summary{margin-bottom:8px}
@media print{body{background:#fff}section{break-inside:avoid}}
`;
