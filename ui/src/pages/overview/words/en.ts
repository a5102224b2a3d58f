// What the page Overview says, in English. Not numbers: units/format.ts.
const some = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

export const en = {
  overview: "Overview",
  states: { broken: "Broken", attention: "Look at this", fine: "All right", absent: "Not set up", unknown: "Not known" },
  verdict: {
    fine: "Everything is all right",
    attention: (count: number) => some(count, "thing needs a look", "things need a look"),
    broken: (count: number) => some(count, "thing is broken", "things are broken"),
    unknown: "Not everything can be told right now",
    asking: "Having a look…",
  },
  since: (moment: string, howLong: string) => `since ${moment}, for ${howLong}`,
  longer: "for more than a day",
  seen: (moment: string) => `Looked at ${moment}`,
  todo: "What to do",
  evidence: "Evidence",
  notAnswered: (message: string) => `The server does not say: ${message}`,
  day: "d",
  hour: "h",
  minute: "min",
  second: "s",
  kiosk: "Full screen without navigation",
  leaveKiosk: "Back to all pages",

  topics: {
    alerts: "Alerts",
    cameras: "Cameras",
    graphics: "Graphics card",
    models: "Language models",
    queues: "Queues",
    disk: "Disk",
    services: "Services",
    programs: "Watched programs",
  },

  alerts: {
    none: "No alert is firing",
    firing: (count: number) => `${some(count, "alert is", "alerts are")} firing`,
    quiet: (count: number) => `${some(count, "alert is", "alerts are")} silenced or muted`,
    todo: "Open the alert: it says what is asked of you. Silence it if it is known.",
    link: "Alerts",
  },
  cameras: {
    absent: "No camera reports",
    fine: (count: number) => (count === 1 ? "The camera sends pictures" : `All ${count} cameras send pictures`),
    off: (names: string, many: boolean) => `${names} ${many ? "are" : "is"} not connected`,
    frozen: (names: string, many: boolean) => `${names} ${many ? "are" : "is"} connected but ${many ? "their pictures stand" : "its picture stands"} still`,
    todoOff: "Look at its power and cable, then at its address and password in the configuration.",
    todoFrozen: "Restart the camera: it answers but its pictures do not change.",
    link: "Cameras",
  },
  graphics: {
    absent: "No graphics card is seen",
    fine: (name: string) => `${name} works`,
    memory: (percent: string) => `${percent} of its memory is taken`,
    hot: (celsius: string) => `It is ${celsius} warm`,
    busy: (percent: string) => `${percent} busy`,
    todoMemory: "Stop a model that nobody needs, or load a smaller one: the next request may fail.",
    todoHot: "Look at its fans and at the air around it.",
    link: "System Status",
  },
  models: {
    absent: "No language model goes through the gateway",
    fine: (count: number) => (count === 0 ? "Nobody has asked a model today" : `${some(count, "question", "questions")} answered today`),
    failed: (failed: number, count: number) => `${failed} of ${some(count, "question", "questions")} of today failed`,
    down: (names: string, many: boolean) => `${names} ${many ? "do" : "does"} not answer`,
    budget: (percent: string) => `${percent} of the month's budget is spent`,
    todoDown: "Look whether the model server runs and has memory left.",
    todoFailed: "Open the traces of the failed questions.",
    todoBudget: "Raise the budget or ask less: what comes after is refused or only counted, as configured.",
    link: "Pipeline",
  },
  queues: {
    absent: "There is no queue",
    fine: (waiting: number) => (waiting === 0 ? "Nothing waits" : `${some(waiting, "job waits", "jobs wait")} for a turn`),
    dead: (count: number) => `${some(count, "job", "jobs")} failed too often and ${count === 1 ? "lies" : "lie"} aside`,
    overflow: (count: number) => `${some(count, "job", "jobs")} found no room`,
    todo: "Look at the reason in the DLQ Monitor, mend it, then put the jobs back.",
    link: "DLQ Monitor",
  },
  disk: {
    fine: (percent: string) => `${percent} of the disk is used`,
    full: (percent: string, free: string) => `${percent} of the disk is used, ${free} are free`,
    failed: (why: string) => `What comes in cannot be kept: ${why}`,
    todoFull: "Delete what is not needed, or keep data for a shorter time.",
    todoFailed: "Look at the disk and its rights; nothing is kept until it can be written again.",
    link: "Storage",
  },
  services: {
    absent: "No service is watched",
    fine: (count: number) => (count === 1 ? "The watched service is well" : `All ${count} watched services are well`),
    bad: (names: string, many: boolean) => `${names} ${many ? "are" : "is"} not well`,
    restarting: (names: string, many: boolean) => `${names} ${many ? "are" : "is"} being restarted`,
    todo: "Open the service: it shows what was tried and why it failed.",
    link: "Services",
  },
  programs: {
    absent: "No program is asked for its metrics",
    fine: (count: number) => (count === 1 ? "The watched program answers" : `All ${count} watched programs answer`),
    down: (down: number, count: number, names: string) => `${down} of ${some(count, "watched program", "watched programs")} ${down === 1 ? "does" : "do"} not answer: ${names}`,
    todo: "See whether it runs and whether its address is right.",
    link: "Which ones",
  },
  and: (names: readonly string[], more: number) => {
    const last = more > 0 ? `${more} more` : names.at(-1);
    const others = more > 0 ? names : names.slice(0, -1);
    return others.length === 0 ? (last ?? "") : `${others.join(", ")} and ${last}`;
  },
};

export type Words = typeof en;
