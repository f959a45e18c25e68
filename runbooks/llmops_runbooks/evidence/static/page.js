"use strict";
// Draws every chart of the page from the data beside it, at the width it has, with Observable Plot.
(() => {
  const NARROW = 460;
  const FALLBACK = 520;
  const BALL = 9;
  const STEPS = [1, 5, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]; // Seconds between two labels of time.
  const LOWEST = 1e-3;
  const BEYOND = 1e4; // Times the bound: evidence past it is drawn on the upper edge.

  const number = (digits) => (v) => v.toLocaleString("en", { maximumFractionDigits: digits });
  const formats = {
    percent: (v) => `${number(1)(100 * v)} %`,
    milliseconds: (v) => (v >= 1e4 ? `${number(1)(v / 1000)} s` : `${number(v < 10 ? 1 : 0)(v)} ms`),
    dollars: (v) => `$${(v / 1e6).toLocaleString("en", { minimumSignificantDigits: 2, maximumSignificantDigits: 3 })}`,
    plain: number(2),
  };
  const superscript = (n) => [...String(n)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
  const power = (v) => (v >= 0.001 && v <= 1000 ? number(3)(v) : `10${superscript(Math.round(Math.log10(v)))}`);
  const clock = d3.utcFormat("%H:%M:%S");
  const colour = (name) => `var(--${name})`;

  // At most so many round instants; d3 takes a number as a hint, and knows nothing between one minute and five.
  function instants([first, last], most) {
    const step = 1e3 * (STEPS.find((seconds) => last - first <= 1e3 * seconds * most) ?? STEPS.at(-1));
    return d3.range(Math.ceil(first / step), Math.floor(last / step) + 1).map((n) => n * step);
  }

  function frame(width, time, marginLeft, rest) {
    const [first, last] = time.domain;
    const short = last - first < 4 * 60e3;
    const axis = Plot.axisX({
      ticks: instants(time.domain, width < NARROW ? 4 : 7), tickSize: 3, tickFormat: d3.utcFormat(short ? "%H:%M:%S" : "%H:%M"),
      label: null, color: colour("soft"),
    });
    const decided = time.decided === null ? [] : [
      Plot.ruleX([time.decided], { stroke: colour("soft"), strokeDasharray: "2 3" }),
    ];
    return {
      width, marginLeft, marginRight: 14, marginTop: 10, marginBottom: 26,
      style: { background: "transparent", fontSize: "11px" },
      x: { type: "utc", domain: time.domain, nice: false },
      ...rest, marks: [axis, ...decided, ...rest.marks],
    };
  }

  const rows = (ticks, tickFormat) => [
    Plot.gridY({ ticks, stroke: colour("grid"), strokeOpacity: 1 }),
    Plot.axisY({ ticks, tickFormat, tickSize: 0, label: null, color: colour("soft") }),
  ];

  function arms(data, time, width) {
    const format = formats[data.format];
    const known = data.points.filter((p) => p.v !== null);
    const highest = d3.max(known, (p) => p.v);
    const reach = d3.quantile(known, 0.9, (p) => p.hi ?? p.v);
    const lowest = d3.min(known, (p) => Math.min(p.v, p.lo ?? p.v));
    const low = lowest > reach / 2 ? lowest * 0.98 : 0;
    const seconds = data.format === "milliseconds" && reach >= 3000;
    const common = { x: "t", z: "arm", clip: true };
    return Plot.plot(frame(width, time, 54, {
      height: 190,
      y: { domain: [low, Math.max(highest * 1.04, reach) || 1], nice: true, clamp: false },
      marks: [
        ...rows(4, seconds ? (v) => `${number(1)(v / 1000)} s` : format),
        Plot.areaY(data.points, { ...common, y1: "lo", y2: "hi", fill: (p) => colour(p.arm), fillOpacity: 0.16 }),
        Plot.lineY(data.points, { ...common, y: "v", stroke: (p) => colour(p.arm), strokeWidth: 1.8 }),
        Plot.dot(known, { ...common, y: "v", r: 1.8, fill: (p) => colour(p.arm) }),
        tip(known, (p) => `${p.arm}  ${format(p.v)}${p.lo === null ? "" : `\n95 %  ${format(p.lo)} to ${format(p.hi)}`}\nn  ${number(0)(p.n)} at ${clock(p.t)}`),
      ],
      color: { type: "identity" },
    }));
  }

  function evidence(data, time, width) {
    const clamped = (v) => Math.min(BEYOND * data.bound, Math.max(LOWEST, v));
    const depth = { watched: 0, family: 2 };
    const lines = d3.sort(data.lines, (line) => depth[line.colour] ?? 1);
    const points = lines.flatMap((line) => line.points.map((p) => ({
      ...p, shown: clamped(p.v), line: line.name, bound: line.bound, colour: colour(line.colour), heavy: line.colour === "family",
    })));
    const values = [...points.map((p) => p.shown), data.bound, 1];
    const low = Math.min(0.1, d3.min(values));
    const high = Math.max(10 * data.bound, d3.max(values) * 1.5);
    const decades = Math.log10(high / low);
    const step = Math.ceil(decades / 6);
    const first = Math.ceil(Math.log10(low));
    const ticks = d3.range(first, Math.floor(Math.log10(high)) + 1).filter((n) => (n - first) % step === 0).map((n) => 10 ** n);
    return Plot.plot(frame(width, time, 54, {
      height: 230, marginRight: 48,
      y: { type: "log", domain: [low, high] },
      marks: [
        ...rows(ticks, power),
        Plot.ruleY([data.bound], { stroke: colour("bound"), strokeWidth: 1.4 }),
        Plot.text([data.bound], {
          y: (v) => v, frameAnchor: "right", dx: 6, textAnchor: "start", lineAnchor: "middle",
          fill: colour("bound"), fontWeight: 600, text: (v) => `bound\n${number(0)(v)}`,
        }),
        Plot.lineY(points, { x: "t", y: "shown", z: "line", stroke: "colour", curve: "step-after", strokeWidth: (p) => (p.heavy ? 3 : 1.8), clip: true }),
        tip(points, (p) => `${p.line}\n${p.v.toLocaleString("en", { maximumSignificantDigits: 3 })} of ${p.bound} at ${clock(p.t)}`, "shown"),
      ],
      color: { type: "identity" },
    }));
  }

  function traffic(data, time, width) {
    const most = Math.max(0.02, d3.max([...data.set, ...data.served], (p) => p.v));
    const last = { t: time.domain[1], v: data.set.length ? data.set.at(-1).v : null };
    const steps = data.set.length ? [...data.set, last] : [];
    const chart = Plot.plot(frame(width, time, 54, {
      height: 170,
      y: { domain: [0, most > 0.9 ? 1 : most * 1.2] },
      marks: [
        ...rows(4, formats.percent),
        Plot.areaY(steps, { x: "t", y: "v", curve: "step-after", fill: colour("canary"), fillOpacity: 0.14 }),
        Plot.lineY(steps, { x: "t", y: "v", curve: "step-after", stroke: colour("canary"), strokeWidth: 2 }),
        Plot.dot(data.served, { x: "t", y: "v", r: 2.6, stroke: colour("soft"), strokeWidth: 1.4, fill: colour("card") }),
        tip(data.served, (p) => `served ${formats.percent(p.v)} of ${number(0)(p.n)}\nin the minute of ${clock(p.t)}`),
      ],
    }));
    return [chart, lane(data.events, time, width)];
  }

  // Numbered balls on the same axis; balls that would touch go to the next row.
  function lane(events, time, width) {
    const x = d3.scaleLinear(time.domain, [54, width - 14]);
    const ends = [];
    const placed = events.map((event) => {
      const row = ends.findIndex((end) => x(event.t) - end > 2 * BALL + 2);
      const free = row < 0 ? ends.length : row;
      ends[free] = x(event.t);
      return { ...event, row: free };
    });
    const height = (2 * BALL + 3) * Math.max(1, ends.length) + 4;
    const channels = { x: "t", y: "row" };
    return Plot.plot({
      width, height, marginLeft: 54, marginRight: 14, marginTop: BALL + 3, marginBottom: BALL + 3,
      style: { background: "transparent", overflow: "visible" },
      x: { type: "utc", domain: time.domain, axis: null },
      y: { domain: [0, Math.max(1, ends.length - 1)], axis: null },
      marks: [
        Plot.tip(placed, Plot.pointer({
          ...channels, title: (e) => `${clock(e.t)}  ${e.text}`, lineWidth: 26,
          fill: colour("card"), stroke: colour("rule"), fontSize: 12,
        })),
        Plot.dot(placed, { ...channels, r: BALL, fill: (e) => colour(kinds[e.kind] ?? "soft") }),
        Plot.text(placed, { ...channels, text: (e) => String(e.n), fill: colour("card"), fontSize: 10.5, fontWeight: 650 }),
      ],
      color: { type: "identity" },
    });
  }
  const kinds = { golden: "metric-2", gate: "metric-1", guard: "wait", alarm: "bound", operator: "good" };

  const tip = (points, title, y = "v") => Plot.tip(points, Plot.pointer({
    x: "t", y, title, fill: colour("card"), stroke: colour("rule"), fontSize: 12,
  }));

  const draw = { arms, evidence, traffic };

  function show(place, data, time) {
    const width = Math.round(place.clientWidth) || FALLBACK;
    if (place.dataset.drawn === String(width)) return;
    place.dataset.drawn = width;
    place.replaceChildren(...[draw[data.kind](data, time, width)].flat());
  }

  for (const article of document.querySelectorAll("article.rollout")) {
    const { charts, ...time } = JSON.parse(article.querySelector("script.data").textContent);
    for (const place of article.querySelectorAll("[data-chart]")) {
      const data = charts[place.dataset.chart];
      show(place, data, time);
      new ResizeObserver(() => { if (place.clientWidth) show(place, data, time); }).observe(place);
    }
  }
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
})();
