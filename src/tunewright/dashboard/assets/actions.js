// Requests to a running tuner (with --control): a dialog with the question, then the answer of the tuner from its journal.
import {h} from "./dom.js";
import {formatCount, formatDuration, formatMoney, formatNumber, formatValue} from "./format.js";

const WHOLE = {min: "1", step: "1", max: "1000000000"},
  POSITIVE = {min: "0.000001", step: "any", max: "1000000000"};
const CHANGEABLE_LIMITS = [
  ["max_wallclock_time", "Time in seconds", POSITIVE, formatDuration],
  ["max_num_trials", "Trials", WHOLE, formatCount],
  ["max_num_evaluations", "Results", WHOLE, formatCount],
  ["max_cost", "Cost in dollars", POSITIVE, formatMoney],
];
const SLOW_ANSWER_MS = 10_000;

/** Buttons of an experiment. */
export function controlBar(context, store, path) {
  const open = dialog => () => openDialog(context, store, path, dialog(store));
  return [
    actionButton("Try a configuration\u2026", open(tryDialog)),
    actionButton("Limits\u2026", open(limitsDialog)),
    actionButton("Workers\u2026", open(workersDialog)),
    actionButton(
      "Note\u2026",
      open(() => noteDialog(null)),
    ),
    actionButton("Stop experiment\u2026", open(stopDialog), "danger"),
  ];
}

/** Buttons of a trial, according to its status; `isPausedByRequest`: a request has paused it, not the method. */
export function trialControl(context, trial, isPausedByRequest) {
  const open = dialog => () => openDialog(context, context.store, context.path, dialog);
  const buttons = [actionButton("Note\u2026", open(noteDialog(trial.id)))];
  if (trial.status === "running") {
    buttons.unshift(
      actionButton(
        "Pause\u2026",
        open({
          title: `Pause trial ${trial.id}?`,
          text: "Its run ends, its checkpoint is kept, and it waits until you resume it.",
          action: "pause_trial",
          trialId: trial.id,
          button: "Pause trial",
          isRemarked: true,
        }),
      ),
      actionButton(
        "Stop\u2026",
        open({
          title: `Stop trial ${trial.id}?`,
          text: "The trial ends for good. Its results stay.",
          action: "stop_trial",
          trialId: trial.id,
          button: "Stop trial",
          isDangerous: true,
          isRemarked: true,
        }),
        "danger",
      ),
    );
  }
  if (trial.status === "paused" && isPausedByRequest) {
    buttons.unshift(
      actionButton(
        "Resume\u2026",
        open({
          title: `Resume trial ${trial.id}?`,
          text: "It goes on from its checkpoint, on the next free worker.",
          action: "resume_trial",
          trialId: trial.id,
          button: "Resume trial",
          isRemarked: true,
        }),
      ),
    );
  }
  return buttons;
}

function actionButton(text, onclick, kind = null) {
  return h("button", {type: "button", class: kind, onclick}, text);
}

function stopDialog() {
  return {
    title: "Stop the experiment?",
    text: "It ends in order, as at a limit: running trials are stopped and all results stay. tunewright resume continues it later.",
    action: "stop_experiment",
    button: "Stop experiment",
    isDangerous: true,
    isRemarked: true,
  };
}

function limitsDialog(store) {
  const known = Object.fromEntries((store.experiment.limits ?? []).map(limit => [limit.name, limit]));
  const inputs = CHANGEABLE_LIMITS.map(([name, text, range, format]) => {
    const limit = known[name],
      used = limit ? ` (${format(limit.used)} of ${format(limit.value)} used)` : "";
    return [name, labelled(`${text}${used}`, h("input", {type: "number", ...range, name, placeholder: limit?.value ?? "no limit"}))];
  });
  return {
    title: "Change limits",
    text: "Empty fields stay as they are. The new limits hold from now on, also after a resume; one that is used up already ends the experiment.",
    fields: inputs.map(([, field]) => field),
    action: "change_limits",
    button: "Change limits",
    isRemarked: true,
    read: form => {
      const found = Object.fromEntries(
        inputs
          .map(([name]) => [name, form.elements[name].value])
          .filter(([, text]) => text !== "")
          .map(([name, text]) => [name, Number(text)]),
      );
      if (!Object.keys(found).length) throw new Error("Give at least one limit.");
      return found;
    },
  };
}

function workersDialog(store) {
  const input = h("input", {type: "number", ...WHOLE, name: "n_workers", required: true});
  input.value = store.experiment.n_workers;
  return {
    title: "Change the number of workers",
    text: "Running trials go on; with fewer workers, the next trials wait until one is free.",
    fields: [labelled("Workers", input)],
    action: "set_workers",
    button: "Change workers",
    isRemarked: true,
    read: form => ({n_workers: Number(form.elements.n_workers.value)}),
  };
}

function noteDialog(trialId) {
  const area = h("textarea", {name: "text", required: true});
  return {
    title: trialId === null ? "Write a note" : `Write a note on trial ${trialId}`,
    text: "The note is kept in the journal; at most 10,000 bytes.",
    fields: [labelled("Note", area)],
    action: "note",
    trialId,
    button: "Save note",
    read: form => ({text: form.elements.text.value}),
  };
}

/** A form with the search space, filled with the best configuration. */
function tryDialog(store) {
  const start = store.experiment.best?.config ?? {};
  const fields = store
    .tuned()
    .map((dimension, index) => [
      dimension,
      labelled(rangeText(dimension), spaceInput(dimension, start[dimension.name], `p${index}`)),
      `p${index}`,
    ]);
  return {
    title: "Try a configuration",
    text: "It starts on the next free worker, before the method's own suggestions. An empty field takes the default that it shows.",
    fields: [
      h(
        "div",
        {class: "scroll", tabindex: "0", role: "group", "aria-label": "Hyperparameters"},
        fields.map(([, field]) => field),
      ),
    ],
    action: "try_config",
    button: "Try it",
    isRemarked: true,
    read: form => {
      const given = fields
        .filter(([, , name]) => form.elements[name].value !== "")
        .map(([dimension, , name]) => [dimension.name, spaceValue(dimension, form.elements[name].value)]);
      // a request names one value at least; the tuner adds the other defaults
      const [first] = fields;
      return {config: Object.fromEntries(given.length ? given : [[first[0].name, first[0].default]])};
    },
  };
}

function rangeText(dimension) {
  return dimension.type === "float" || dimension.type === "int"
    ? `${dimension.name} (${formatValue(dimension.low)} to ${formatValue(dimension.high)}${dimension.log ? ", log" : ""})`
    : dimension.name;
}

function spaceInput(dimension, value, name) {
  if (dimension.values?.length) {
    const select = h(
      "select",
      {name},
      h("option", {value: ""}, `default: ${formatValue(dimension.default)}`),
      dimension.values.map((option, index) => h("option", {value: String(index)}, formatValue(option))),
    );
    select.value = String(dimension.values.findIndex(option => option === value));
    if (select.selectedIndex < 0) select.value = "";
    return select;
  }
  const input = h("input", {
    type: "number",
    name,
    min: dimension.low,
    max: dimension.high,
    step: dimension.type === "int" ? "1" : "any",
    placeholder: `default: ${formatNumber(dimension.default)}`,
  });
  input.value = value ?? "";
  return input;
}

function spaceValue(dimension, text) {
  return dimension.values?.length ? dimension.values[Number(text)] : Number(text);
}

function labelled(text, input) {
  return h("label", {class: "field"}, h("span", {}, text), input);
}

/** Ask, send, and show what the tuner did; the dialog stays open until it is closed. */
function openDialog(context, store, path, {title, text, fields = [], action, trialId = null, button, isDangerous, isRemarked, read}) {
  const answer = h("p", {class: "answer", role: "status"}),
    submit = h("button", {type: "submit", class: isDangerous ? "danger" : "primary"}, button);
  const cancel = h("button", {type: "button", onclick: () => dialog.close()}, "Cancel");
  const remark = isRemarked ? labelled("Remark (optional)", h("input", {name: "reason", maxlength: "1000", autocomplete: "off"})) : null;
  const say = (kind, words) => {
    answer.className = `answer ${kind}`;
    answer.textContent = words;
    if (kind && !dialog.isConnected) context.announce(`${title} ${words}`, {isShown: true});
  };
  const form = h(
    "form",
    {
      method: "dialog",
      onsubmit: async event => {
        event.preventDefault();
        submit.disabled = true;
        say("", "Sending\u2026");
        try {
          const given = read?.(form) ?? {},
            reason = form.elements.reason?.value;
          const {id} = await context.source.post(`${path}/requests`, {
            action,
            trial_id: trialId,
            arguments: reason ? {...given, reason} : given,
          });
          cancel.textContent = "Close";
          say("", "Waiting for the tuner\u2026");
          const timer = setTimeout(() => say("", "Still waiting for the tuner\u2026 You may close this; the answer comes to Events."), SLOW_ANSWER_MS);
          const found = await store.answer(id);
          clearTimeout(timer);
          if (found && !found.refusal) {
            say("good", "\u2713 Done.");
            submit.remove();
            cancel.focus();
            return;
          }
          say("bad", found ? `\u2715 Refused: ${found.refusal}.` : "\u2715 The tuner ended first. tunewright resume takes the request.");
        } catch (error) {
          say("bad", `\u2715 ${error.message}`);
        }
        submit.disabled = false;
      },
    },
    h("div", {}, h("h2", {}, title), h("p", {class: "small"}, text)),
    fields,
    remark,
    answer,
    h("div", {class: "buttons"}, cancel, submit),
  );
  const opener = document.activeElement;
  const dialog = h("dialog", {"aria-label": title, onclose: () => closeDialog(dialog, opener)}, form);
  document.body.append(dialog);
  dialog.showModal();
  form.querySelector("input, select, textarea").focus();
}

/** Remove a dialog; the focus returns to the button that opened it, or to the content if the button has gone. */
function closeDialog(dialog, opener) {
  dialog.remove();
  if (opener?.isConnected) opener.focus();
  else document.getElementById("main")?.focus({preventScroll: true});
}
