// Overview of an experiment: the best configuration, the best value over time, totals, limits, next steps.
import {h, card, commandLine, copyButton, emptyNote, facts, foldedTable, setText, switcher} from "./dom.js";
import {formatCount, formatDuration, formatMoney, formatNumber, formatShare, formatValue, formatWall, plural} from "./format.js";
import {Chart, axis, plotGrid, themeColour, timeAxis, tooltip} from "./charts.js";
import {experimentAddress} from "./list.js";
import {hasPrices} from "./trials.js";

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
    this.about = h("div", {});
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
      noValue = emptyNote("No result yet. The line begins with the first value that a trial reports.");
    this.noValue = noValue;
    this.chartFrame = chart;
    this.limitsCard = card("Limits", null, this.limits);
    this.stepsCard = card("Next steps", null, this.steps);
    const bestCard = card("Best value so far", scales, chart, noValue);
    container.append(
      this.warnings,
      this.tiles,
      h(
        "div",
        {class: "columns"},
        h("div", {class: "column"}, bestCard, this.stepsCard, card("About", null, this.about)),
        h("div", {class: "column"}, card("Best configuration", null, this.best), this.limitsCard),
      ),
    );
    this.chart = new Chart(chart, {label: "Best value so far", height: 320, build: () => this.option()});
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
      grid: plotGrid(),
      xAxis: this.scale === "time" ? timeAxis(unit, end) : axis("value", unit, {min: 0, scale: false, axisLabel: {formatter: format}}),
      yAxis: axis("value", metric.name.length > 40 ? "" : metric.name, {nameGap: 52}),
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
    if (!isEmpty) this.chart.draw();
  },

  drawTexts() {
    const {store} = this,
      {experiment, totals} = store,
      best = experiment.best,
      step = store.best.at(-1);
    const counts = ["running", "paused", "completed", "stopped", "failed"]
      .filter(name => totals[`n_${name}`])
      .map(name => `${formatCount(totals[`n_${name}`])} ${name}`);
    const value = best ? best.values[store.metric.name] : step?.value;
    const where = best
      ? `trial ${best.trial_id}, ${experiment.resource} ${best.resource}`
      : step
        ? `trial ${step.trial_id}`
        : "no result yet";
    const tiles = [
      [`Best ${store.metric.name}`, formatNumber(value), `${store.order()(0, 1) < 0 ? "lowest" : "highest"}; ${where}`],
      ["Trials", formatCount(totals.n_trials), counts.join(", ") || "no trials yet"],
      [
        "Results",
        formatCount(totals.n_results),
        totals.n_trials ? `${formatNumber(totals.n_results / totals.n_trials, 3)} per trial` : "reports of metrics",
      ],
      [
        "Time",
        formatDuration(store.time),
        experiment.status === "running" && experiment.eta ? `about ${formatDuration(experiment.eta)} to go` : experiment.status,
      ],
      experiment.status === "running"
        ? ["Workers", `${totals.n_running} of ${experiment.n_workers}`, `busy; ${experiment.backend} backend`]
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

  drawExperiment() {
    const {experiment} = this.store,
      {best} = experiment;
    this.warnings.hidden = !experiment.warnings?.length;
    this.warnings.replaceChildren(
      h(
        "ul",
        {},
        (experiment.warnings ?? []).map(text => h("li", {}, text)),
      ),
    );
    const signature = JSON.stringify(best ?? null);
    if (this.best.dataset.signature !== signature) {
      this.best.dataset.signature = signature;
      this.best.replaceChildren(
        ...(best ? this.bestParts(best) : [emptyNote("No result yet. The first one appears here with its configuration, ready to copy.")]),
      );
    }
    const limits = experiment.limits ?? [];
    this.limitsCard.hidden = !limits.length;
    this.limits.replaceChildren(
      ...limits.map(limit => {
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
    this.steps.replaceChildren(...steps.map(step => h("li", {}, h("p", {}, step.text), step.command ? commandLine(step.command) : "")));
    const versions = Object.entries(experiment.versions ?? {})
      .map(([name, version]) => `${name} ${version}`)
      .join(", ");
    this.about.replaceChildren(
      facts([
        ["Method", experiment.method],
        ["Benchmark", experiment.benchmark],
        ["Seed", String(experiment.seed ?? "-")],
        ["Backend", experiment.backend],
        ["Resource", experiment.max_resource ? `${experiment.resource}, at most ${experiment.max_resource}` : experiment.resource],
        ["Rungs", (experiment.rungs ?? []).join(", ")],
        ["Constraints", (experiment.constraints ?? []).join(", ")],
        ["Surrogate", experiment.surrogate],
        ["Created", formatWall(Date.parse(experiment.created) / 1000)],
        ["Last change", formatWall(experiment.updated)],
        ["Versions", versions],
      ]),
      experiment.folder ? h("h3", {}, "Folder") : "",
      experiment.folder ? commandLine(experiment.folder) : "",
      experiment.command ? h("h3", {}, "On the command line") : "",
      experiment.command ? commandLine(experiment.command) : "",
    );
  },

  bestParts(best) {
    const {experiment} = this.store,
      {tag, name} = this.context;
    const rows = Object.entries(best.config).map(([key, value]) =>
      h("tr", {}, h("th", {scope: "row"}, key), h("td", {class: "number"}, formatValue(value))),
    );
    const values = Object.entries(best.values)
      .map(([key, value]) => `${key} ${formatNumber(value)}`)
      .join(", ");
    return [
      h(
        "p",
        {},
        values,
        " \u2013 ",
        h("a", {href: experimentAddress(tag, name, `trials/${best.trial_id}`)}, `trial ${best.trial_id}`),
        `, ${experiment.resource} ${best.resource}`,
      ),
      h("table", {class: "pairs"}, h("tbody", {}, rows)),
      h(
        "div",
        {class: "toolbar copies"},
        h("span", {class: "small"}, "Copy as"),
        copyButton("Command line", best.arguments),
        copyButton("JSON", best.json),
        copyButton("Python", best.python),
      ),
    ];
  },

  update(change) {
    if (change.has("totals", "experiment", "best", "trials")) this.drawTexts();
    if (change.has("experiment")) this.drawExperiment();
    if (change.has("best", "totals")) this.drawChart();
  },

  dispose() {
    this.chart.dispose();
  },
};

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
