// Overview of an experiment: the best configuration, the best value over time, totals, limits, next steps.
import {h, card, clampedText, commandLine, copyButton, emptyNote, facts, foldedTable, redraw, setText, switcher} from "./dom.js";
import {formatCount, formatDuration, formatMoney, formatNumber, formatShare, formatValue, formatWall, plural, shortened} from "./format.js";
import {Chart, axis, plotGrid, themeColour, timeAxis, tooltip, upAxis} from "./charts.js";
import {experimentAddress} from "./list.js";
import {hasPrices} from "./trials.js";

const MOST_BESTS = 4;
const BEST_SCALES = {time: ["Time", "time"], n_results: ["Results", "results"], cost: ["Cost", "dollars"]};

export const overviewView = {
  title: "Overview",

  render(container, context) {
    this.context = context;
    this.store = context.store;
    this.scale = context.route.query.by in BEST_SCALES ? context.route.query.by : "time";
    this.tiles = h("div", {class: "tiles"});
    this.warnings = h("div", {class: "warning", role: "note"});
    this.best = h("div", {});
    this.limits = h("div", {class: "meters"});
    this.steps = h("ul", {class: "steps"});
    this.aboutFacts = h("div", {});
    this.aboutCommands = h("div", {});
    const scales = switcher(
      "Horizontal axis",
      Object.entries(BEST_SCALES).map(([key, [text]]) => [key, text]),
      this.scale,
      key => {
        this.scale = key;
        context.setQuery({by: key}, {by: "time"});
        this.chart.draw();
      },
    );
    const chart = h("div", {}),
      noValue = emptyNote("");
    this.noValue = noValue;
    this.chartFrame = chart;
    this.limitsCard = card("Limits", null, this.limits);
    this.stepsCard = card("Next steps", null, this.steps);
    const isSeveral = this.store.experiment.metrics.length > 1,
      by = isSeveral ? shortened(this.store.metric.name, 40) : "value";
    const bestCard = card(`Best ${by} so far`, scales, chart, noValue);
    container.append(
      this.warnings,
      this.tiles,
      h(
        "div",
        {class: "columns"},
        h("div", {class: "column"}, bestCard, this.stepsCard),
        h("div", {class: "column"}, card(isSeveral ? `Best configuration by ${by}` : "Best configuration", null, this.best), this.limitsCard),
      ),
      card("About", null, this.aboutFacts, this.aboutCommands),
    );
    this.chart = new Chart(chart, {label: `Best ${by} so far`, height: 320, build: () => this.option()});
    bestCard.append(
      foldedTable(
        () => ["time", "results", "cost", this.store.metric.name, "trial"],
        () =>
          this.store.best.map(step => [
            formatDuration(step.time),
            formatCount(step.n_results),
            formatMoney(step.cost),
            formatNumber(step.value),
            String(step.trial_id),
          ]),
      ),
    );
    this.drawTexts();
    this.drawExperiment();
    this.drawChart();
  },

  /** Steps of the best value until now, on the chosen scale. */
  option() {
    const {store} = this,
      [, unit] = BEST_SCALES[this.scale],
      metric = store.metric;
    const points = store.best.filter(step => step[this.scale] !== null).map(step => [step[this.scale], step.value, step.trial_id]);
    const end = this.scale === "time" ? store.time : store.totals[this.scale];
    const last = points.at(-1);
    const line = last && end > last[0] ? [...points, [end, last[1], last[2]]] : points;
    const format = this.scale === "time" ? formatDuration : this.scale === "cost" ? formatMoney : formatCount;
    return {
      grid: plotGrid({top: 4}),
      xAxis:
        this.scale === "time"
          ? timeAxis(unit, end)
          : axis("value", unit, {
              min: 0,
              max: end || 1,
              scale: false,
              ...(this.scale === "cost" ? {} : {minInterval: 1}),
              axisLabel: {showMaxLabel: false, formatter: value => (this.scale === "cost" ? formatMoney(value, end) : formatCount(value))},
            }),
      yAxis: upAxis("value", metric.name),
      tooltip: tooltip(([point]) => `${metric.name} ${formatNumber(point.value[1])}\ntrial ${point.value[2]}, ${format(point.value[0])}`, {
        trigger: "axis",
      }),
      series: [
        {
          id: "best",
          type: "line",
          step: "end",
          data: line,
          symbol: "circle",
          symbolSize: 5,
          showSymbol: line.length < 60,
          lineStyle: {width: 2, color: themeColour("accent")},
          itemStyle: {color: themeColour("accent")},
          areaStyle: undefined,
        },
      ],
    };
  },

  drawChart() {
    const isEmpty = !this.store.best.length;
    this.chartFrame.hidden = isEmpty;
    this.noValue.hidden = !isEmpty;
    this.noValue.textContent = this.store.nothingYet("No result yet. The line begins with the first value that a trial reports.");
    if (!isEmpty) this.chart.draw();
  },

  drawTexts() {
    const {store} = this,
      {experiment, totals} = store;
    const counts = ["running", "paused", "completed", "stopped", "failed"]
      .filter(name => totals[`n_${name}`])
      .map(name => `${formatCount(totals[`n_${name}`])} ${name === "running" && !store.isRunning ? "interrupted" : name}`);
    const tiles = [
      ...experiment.metrics.slice(0, MOST_BESTS).map(metric => this.bestTile(metric)),
      ["Trials", formatCount(totals.n_trials), counts.join(", ") || `no trials${store.isRunning ? " yet" : ""}`],
      [
        "Results",
        formatCount(totals.n_results),
        totals.n_trials ? `${formatNumber(totals.n_results / totals.n_trials, 3)} per trial` : "reports of metrics",
      ],
      [
        "Time",
        formatDuration(store.time),
        store.isRunning && experiment.eta ? `about ${formatDuration(experiment.eta)} to go` : experiment.status,
      ],
      store.isRunning
        ? ["Workers", `${formatCount(totals.n_running)} of ${formatCount(experiment.n_workers)}`, `busy; ${experiment.backend} backend`]
        : ["Workers", formatCount(experiment.n_workers), `${experiment.backend} backend`],
      [
        "Cost",
        hasPrices(store) ? formatMoney(totals.cost ?? experiment.cost?.total) : "-",
        experiment.cost?.per_hour
          ? `${formatMoney(experiment.cost.per_hour)} per hour`
          : experiment.cost
            ? experiment.cost.prices
            : "this backend has no prices",
      ],
    ];
    if (this.tiles.children.length)
      tiles.forEach((texts, index) => texts.forEach((text, part) => setText(this.tiles.children[index].children[part], text)));
    else
      this.tiles.append(
        ...tiles.map(([label, number, text]) =>
          h(
            "div",
            {class: "tile"},
            h("div", {class: "label", title: label}, label),
            h("div", {class: "figure"}, number),
            h("div", {class: "small"}, text),
          ),
        ),
      );
  },

  /** The tile of the best value of a metric. */
  bestTile(metric) {
    const {store} = this,
      {resource, bests = []} = store.experiment,
      step = metric === store.metric ? store.best.at(-1) : null;
    let found = bests.find(best => best.metric === metric.name);
    if (step && step.value !== found?.value) found = {...step, resource: null}; // the document comes later than the result
    const direction = store.order(metric)(0, 1) < 0 ? "lowest" : "highest";
    if (!found) return [`Best ${metric.name}`, "-", `${direction}; no result${store.isRunning ? " yet" : ""}`];
    const place = found.resource === null ? "" : `, ${resource} ${found.resource}`;
    return [`Best ${metric.name}`, formatNumber(found.value), `${direction}; trial ${found.trial_id}${place}`];
  },

  drawExperiment() {
    const {experiment} = this.store,
      {best} = experiment,
      warnings = experiment.warnings ?? [];
    this.warnings.hidden = !warnings.length;
    redraw(this.warnings, warnings, () =>
      h(
        "ul",
        {},
        warnings.map(text => h("li", {}, text)),
      ),
    );
    const nothing = this.store.nothingYet("No result yet. The first one appears here with its configuration, ready to copy.");
    redraw(this.best, best ?? nothing, () => (best ? this.bestParts(best) : emptyNote(nothing)));
    const limits = experiment.limits ?? [];
    this.limitsCard.hidden = !limits.length;
    redraw(this.limits, limits, () =>
      limits.map(limit => {
        const format = limitFormat(limit.name),
          share = limit.value ? Math.min(1, (limit.used ?? 0) / limit.value) : 0;
        return h(
          "div",
          {class: "meter"},
          h("span", {}, limit.name),
          h("span", {}, `${format(limit.used)} of ${format(limit.value)}`),
          h("progress", {max: "1", value: share, "aria-label": `${limit.name}: ${formatShare(share)} used`}),
        );
      }),
    );
    const steps = experiment.next_steps ?? [];
    this.stepsCard.hidden = !steps.length;
    redraw(this.steps, steps, () => steps.map(step => h("li", {}, h("p", {}, step.text), step.command ? commandLine(step.command) : "")));
    const versions = Object.entries(experiment.versions ?? {})
      .map(([name, version]) => `${name} ${version}`)
      .join(", ");
    const about = [
      ["Method", experiment.method],
      ["Benchmark", experiment.benchmark],
      ["Seed", String(experiment.seed ?? "-")],
      ["Backend", experiment.backend],
      ["Resource", experiment.max_resource ? `${experiment.resource}, at most ${formatCount(experiment.max_resource)}` : experiment.resource],
      ["Rungs", (experiment.rungs ?? []).map(formatCount).join(", ")],
      ["Constraints", (experiment.constraints ?? []).join(", ")],
      ["Surrogate", experiment.surrogate],
      ["Created", formatWall(Date.parse(experiment.created) / 1000)],
      ["Last change", formatWall(experiment.updated)],
      ["Versions", versions],
    ];
    redraw(this.aboutFacts, about, () => facts(about));
    redraw(this.aboutCommands, [experiment.folder, experiment.command], () => [
      experiment.folder ? h("h3", {}, "Folder") : "",
      experiment.folder ? commandLine(experiment.folder) : "",
      experiment.command ? h("h3", {}, "On the command line") : "",
      experiment.command ? commandLine(experiment.command) : "",
    ]);
  },

  bestParts(best) {
    const {experiment} = this.store,
      {tag, name} = this.context;
    const values = Object.entries(best.values)
      .map(([key, value]) => `${key} ${formatNumber(value)}`)
      .join(", ");
    return [
      h(
        "p",
        {},
        clampedText(values),
        " \u2013 ",
        h("a", {href: experimentAddress(tag, name, `trials/${best.trial_id}`)}, `trial ${best.trial_id}`),
        `, ${experiment.resource} ${best.resource}`,
      ),
      configTable(best.config),
      h(
        "div",
        {class: "toolbar copies"},
        h("span", {class: "small"}, "Copy as"),
        copyButton("Command line", best.arguments),
        copyButton("JSON", best.json),
        copyButton("Python", best.python),
      ),
      experiment.metrics.length > 1
        ? h("p", {}, h("a", {href: experimentAddress(tag, name, "pareto")}, "Results that no other dominates"))
        : null,
    ];
  },

  update(change) {
    if (change.has("totals", "experiment", "best", "trials")) this.drawTexts();
    if (change.has("experiment")) this.drawExperiment();
    if (change.has("best", "totals", "status")) this.drawChart();
  },

  dispose() {
    this.chart.dispose();
  },
};

/** The hyperparameters of a configuration. */
export function configTable(config) {
  const rows = Object.entries(config).map(([name, value]) =>
    h(
      "tr",
      {},
      h("th", {scope: "row"}, h("span", {class: "clamp", title: name}, name)),
      h("td", {class: "number"}, h("span", {class: "clamp", title: formatValue(value)}, formatValue(value))),
    ),
  );
  return h("table", {class: "pairs"}, h("tbody", {}, rows));
}

/** How a limit's numbers are written. */
function limitFormat(name) {
  if (/time|wallclock|duration/.test(name)) return formatDuration;
  if (/cost|dollar/.test(name)) return formatMoney;
  return value => (typeof value === "number" ? formatCount(value) : formatNumber(value));
}

/** A sentence about curves that the server left out; empty if it sent all. */
export function sampledText(store) {
  const sampled = store.sampled;
  return sampled && sampled.shown < sampled.of
    ? `${formatCount(sampled.shown)} of ${plural(sampled.of, "curve")}: the best 500 trials and an even sample of the others.`
    : "";
}
