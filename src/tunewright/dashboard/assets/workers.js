// The workers' timeline: a row per worker; starting, training and uploading, cold and warm, idle between.
import {h, card, choice, emptyNote, foldedTable} from "./dom.js";
import {formatCount, formatDuration, formatShare, plural, shortened} from "./format.js";
import {Chart, axis, plotGrid, themeColour, timeAxis, timeMarks, tooltip} from "./charts.js";
import {experimentAddress} from "./list.js";

const PHASES = {training: "#0072B2", starting: "#E69F00", uploading: "#CC79A7"};
const OTHER_PHASE = "#7F7F7F",
  FAILED_PHASE = "#D55E00",
  MOST_RUNS = 1500;

export const workersView = {
  title: "Workers",

  render(container, context) {
    this.context = context;
    this.store = context.store;
    this.part = context.route.query.part ?? "last";
    this.frame = h("div", {});
    this.text = h("p", {class: "small"});
    this.empty = emptyNote("");
    const keys = h(
      "p",
      {class: "keys", "aria-hidden": "true"},
      ["training", "starting", "uploading", "other"].map((text, index) => h("span", {class: `key${index}`}, text)),
      h("i", {}, "warm starts are lighter, idle time is empty"),
    );
    this.keys = keys;
    this.range = choice(
      "Runs",
      [
        ["last", `last ${formatCount(MOST_RUNS)}`],
        ["first", `first ${formatCount(MOST_RUNS)}`],
      ],
      this.part,
      value => {
        this.part = value;
        context.setQuery({part: value}, {part: "last"});
        this.draw();
      },
    );
    const holder = card("Workers", this.range, this.frame, keys, this.text, this.empty);
    container.append(holder);
    this.chart = new Chart(this.frame, {
      label: "Timeline of the workers",
      height: 380,
      build: () => this.option(),
      onclick: event => {
        location.hash = experimentAddress(context.tag, context.name, `trials/${event.value[5]}`);
      },
      onready: instance => instance.on("datazoom", () => this.markTimes(instance)),
    });
    holder.append(
      foldedTable(
        () => ["run", "worker", "trial", "start", "begin", "end", "phases"],
        () =>
          this.shown.map(run => [
            run.id,
            run.worker,
            String(run.trial_id),
            run.warm === null || run.warm === undefined ? "" : run.warm ? "warm" : "cold",
            formatDuration(run.begin),
            run.end === null ? "-" : formatDuration(run.end),
            run.phases.map(phase => `${phase.name} ${formatDuration((phase.end ?? run.end ?? this.store.time) - phase.begin)}`).join(", "),
          ]),
      ),
    );
    this.draw();
  },

  /** Marks at whole minutes or hours of the part that is shown. */
  markTimes(instance) {
    const {startValue, endValue} = instance.getOption().dataZoom[0];
    instance.setOption({xAxis: timeMarks(startValue, endValue)});
  },

  option() {
    const {time} = this.store,
      workers = this.workers,
      data = [];
    this.shown.forEach(run => {
      const row = workers.indexOf(run.worker),
        end = run.end ?? time;
      const phases = run.phases.length ? run.phases : [{name: "training", begin: run.begin, end: run.end}];
      for (const phase of phases)
        data.push([phase.begin, phase.end ?? end, row, phase.name, run.warm === true ? 1 : 0, run.trial_id, run.end === null ? 1 : 0]);
    });
    const isWhole = this.part === "first" || this.shown.length === this.store.runs.size,
      first = isWhole ? 0 : data.reduce((low, row) => Math.min(low, row[0]), Infinity),
      last = data.reduce((high, row) => Math.max(high, row[1]), first),
      soft = themeColour("soft"),
      page = themeColour("card");
    return {
      grid: plotGrid({bottom: 44, right: 16}),
      xAxis: timeAxis("", last, {min: first}),
      yAxis: axis("category", "", {
        data: workers,
        inverse: true,
        axisLabel: {color: themeColour("ink"), formatter: name => shortened(name, 18), interval: 0},
      }),
      dataZoom: [
        {type: "inside", filterMode: "weakFilter", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false},
        {
          type: "slider",
          filterMode: "weakFilter",
          height: 20,
          bottom: 12,
          showDataShadow: false,
          backgroundColor: themeColour("tint"),
          borderColor: themeColour("line"),
          fillerColor: themeColour("line"),
          handleStyle: {color: page, borderColor: soft},
          moveHandleStyle: {color: soft, opacity: 0.5},
          emphasis: {handleStyle: {borderColor: themeColour("accent")}, moveHandleStyle: {color: themeColour("accent")}},
          brushSelect: false,
          textStyle: {color: soft},
          labelFormatter: formatDuration,
        },
      ],
      tooltip: tooltip(
        point => {
          const [begin, end, row, name, warm, trial, isOpen] = point.value;
          return `${shortened(workers[row], 40)}, trial ${trial}\n${name}${name === "starting" ? (warm ? " (warm)" : " (cold)") : ""}: ${formatDuration(end - begin)}${isOpen && this.store.isRunning ? " so far" : ""}\nfrom ${formatDuration(begin)}`;
        },
        {trigger: "item"},
      ),
      series: [
        {
          id: "runs",
          type: "custom",
          clip: true,
          progressive: 400,
          encode: {x: [0, 1], y: 2},
          data,
          renderItem: (params, api) => {
            const [x0, y] = api.coord([api.value(0), api.value(2)]),
              [x1] = api.coord([api.value(1), api.value(2)]),
              height = Math.min(26, api.size([0, 1])[1] * 0.72);
            const name = api.value(3),
              isFailed = name === "failed",
              width = Math.max(1, x1 - x0);
            const area = params.coordSys,
              left = Math.max(x0, area.x),
              right = Math.min(x0 + width, area.x + area.width);
            if (right <= left) return undefined;
            const label =
              right - left > 28 && name === "training" && height > 13
                ? {
                    type: "text",
                    style: {
                      text: String(api.value(5)),
                      x: (left + right) / 2,
                      y,
                      align: "center",
                      verticalAlign: "middle",
                      fill: "#ffffff",
                      fontSize: 11,
                    },
                    silent: true,
                  }
                : null;
            return {
              type: "group",
              children: [
                {
                  type: "rect",
                  shape: {x: left, y: y - height / 2, width: right - left, height, r: 2},
                  style: {
                    fill: isFailed ? FAILED_PHASE : (PHASES[name] ?? OTHER_PHASE),
                    opacity: name === "starting" && api.value(4) ? 0.5 : 1,
                    stroke: page,
                    lineWidth: width > 4 ? 1 : 0,
                  },
                },
                ...(label ? [label] : []),
              ],
            };
          },
        },
      ],
    };
  },

  draw() {
    const runs = [...this.store.runs.values()].sort((a, b) => a.begin - b.begin);
    this.shown = this.part === "first" ? runs.slice(0, MOST_RUNS) : runs.slice(-MOST_RUNS);
    this.workers = [...new Set(runs.map(run => run.worker))].sort((a, b) => a.localeCompare(b, "en", {numeric: true}));
    const isEmpty = !runs.length;
    for (const part of [this.frame, this.keys, this.text]) part.hidden = isEmpty;
    this.empty.hidden = !isEmpty;
    this.empty.textContent = this.store.isRunning
      ? "No run yet. A bar appears for each run as soon as a worker begins it."
      : "No run: the experiment ended before a worker began one.";
    this.range.hidden = runs.length <= MOST_RUNS;
    if (isEmpty) return;
    const height = Math.min(900, Math.max(180, 90 + 30 * this.workers.length));
    this.chart.setHeight(height);
    const busy = runs.reduce((sum, run) => sum + (run.end ?? this.store.time) - run.begin, 0),
      all = this.workers.length * this.store.time;
    const warm = runs.filter(run => run.warm === true).length,
      cold = runs.filter(run => run.warm === false).length;
    this.text.textContent =
      [
        `${plural(runs.length, "run")} on ${plural(this.workers.length, "worker")}`,
        all ? `busy ${formatShare(Math.min(1, busy / all))} of the time` : "",
        warm + cold ? `starts: ${formatCount(warm)} warm, ${formatCount(cold)} cold` : "",
      ]
        .filter(Boolean)
        .join(", ") + ". Drag the slider, or Ctrl + wheel, to zoom.";
    this.chart.draw();
  },

  update(change) {
    if (change.has("runs", "status")) this.draw();
  },

  dispose() {
    this.chart.dispose();
  },
};
