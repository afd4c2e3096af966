// Requests to a running tuner (with --control): a dialog with the question, then the answer of the server.
import {h} from "./dom.js";
import {formatValue} from "./format.js";

const CHANGEABLE_LIMITS = [
  ["max_wallclock_time", "Time (seconds)", {min: "0", step: "any"}],
  ["max_num_trials", "Trials", {min: "1", step: "1"}],
  ["max_num_evaluations", "Results", {min: "1", step: "1"}],
  ["max_cost", "Cost (dollars)", {min: "0", step: "any"}],
];

/** Buttons of an experiment. */
export function controlBar(context, store, path) {
  const open = dialog => () => openDialog(context, path, dialog(store));
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

/** Buttons of a trial, according to its status. */
export function trialControl(context, trial) {
  const open = dialog => () => openDialog(context, context.path, dialog);
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
  if (trial.status === "paused") {
    buttons.unshift(
      actionButton(
        "Resume\u2026",
        open({
          title: `Resume trial ${trial.id}?`,
          text: "A trial that was paused by a request goes on from its checkpoint, on the next free worker.",
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
  const known = Object.fromEntries((store.experiment.limits ?? []).map(limit => [limit.name, limit.value]));
  const inputs = CHANGEABLE_LIMITS.map(([name, text, range]) => [
    name,
    labelled(text, h("input", {type: "number", ...range, name, placeholder: known[name] ?? "no limit"})),
  ]);
  return {
    title: "Change limits",
    text: "Empty fields stay as they are. The new limits hold from now on, also after a resume.",
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
  const input = h("input", {type: "number", min: "1", step: "1", name: "n_workers", required: true});
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
    text: "It starts on the next free worker, before the method's own suggestions. Empty fields take the default.",
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
    read: form => ({
      config: Object.fromEntries(
        fields
          .filter(([, , name]) => form.elements[name].value !== "")
          .map(([dimension, , name]) => [dimension.name, spaceValue(dimension, form.elements[name].value)]),
      ),
    }),
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
      h("option", {value: ""}, "default"),
      dimension.values.map((option, index) => h("option", {value: String(index)}, formatValue(option))),
    );
    select.value = String(dimension.values.findIndex(option => option === value));
    if (select.selectedIndex < 0) select.value = "";
    return select;
  }
  const input = h("input", {type: "number", name, min: dimension.low, max: dimension.high, step: dimension.type === "int" ? "1" : "any"});
  input.value = value ?? "";
  return input;
}

function spaceValue(dimension, text) {
  return dimension.values?.length ? dimension.values[Number(text)] : Number(text);
}

function labelled(text, input) {
  return h("label", {class: "field"}, h("span", {}, text), input);
}

/** Ask, send, and show the answer; the dialog stays open after an error. */
function openDialog(context, path, {title, text, fields = [], action, trialId = null, button, isDangerous, isRemarked, read}) {
  const answer = h("p", {class: "answer", role: "status"}),
    submit = h("button", {type: "submit", class: isDangerous ? "danger" : "primary"}, button);
  const cancel = h("button", {type: "button", onclick: () => dialog.close()}, "Cancel");
  const remark = isRemarked ? labelled("Remark (optional)", h("input", {name: "reason", maxlength: "1000", autocomplete: "off"})) : null;
  const form = h(
    "form",
    {
      method: "dialog",
      onsubmit: async event => {
        event.preventDefault();
        submit.disabled = true;
        answer.className = "answer";
        answer.textContent = "Sending\u2026";
        try {
          const given = read?.(form) ?? {},
            reason = form.elements.reason?.value;
          await context.source.post(`${path}/requests`, {
            action,
            trial_id: trialId,
            arguments: reason ? {...given, reason} : given,
          });
          answer.className = "answer good";
          answer.textContent = "\u2713 Sent. The tuner takes it within about a second; Events shows what it did.";
          submit.remove();
          cancel.textContent = "Close";
          cancel.focus();
        } catch (error) {
          answer.className = "answer bad";
          answer.textContent = `\u2715 ${error.message}`;
          submit.disabled = false;
        }
      },
    },
    h("div", {}, h("h2", {}, title), h("p", {class: "small"}, text)),
    fields,
    remark,
    answer,
    h("div", {class: "buttons"}, cancel, submit),
  );
  const dialog = h("dialog", {"aria-label": title, onclose: () => dialog.remove()}, form);
  document.body.append(dialog);
  dialog.showModal();
}
