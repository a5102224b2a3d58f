// What the page Overview says, in German. Not the keys: those are en.ts.
import type { Words } from "./en";

const some = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

export const de: Words = {
  overview: "Überblick",
  states: { broken: "Defekt", attention: "Ansehen", fine: "In Ordnung", absent: "Nicht eingerichtet", unknown: "Unbekannt" },
  verdict: {
    fine: "Alles ist in Ordnung",
    attention: (count) => `${some(count, "Sache braucht", "Sachen brauchen")} einen Blick`,
    broken: (count) => some(count, "Sache ist defekt", "Sachen sind defekt"),
    unknown: "Gerade lässt sich nicht alles sagen",
    asking: "Wird nachgesehen…",
  },
  since: (moment, howLong) => `seit ${moment}, also ${howLong}`,
  longer: "seit mehr als einem Tag",
  seen: (moment) => `Nachgesehen um ${moment}`,
  todo: "Was zu tun ist",
  evidence: "Belege",
  notAnswered: (message) => `Der Server sagt es nicht: ${message}`,
  day: "T",
  hour: "Std.",
  minute: "Min.",
  second: "Sek.",
  kiosk: "Vollbild ohne Navigation",
  leaveKiosk: "Zurück zu allen Seiten",

  topics: {
    alerts: "Alarme",
    cameras: "Kameras",
    graphics: "Grafikkarte",
    models: "Sprachmodelle",
    queues: "Warteschlangen",
    disk: "Festplatte",
    services: "Dienste",
    programs: "Beobachtete Programme",
  },

  alerts: {
    none: "Kein Alarm ist ausgelöst",
    firing: (count) => `${some(count, "Alarm ist", "Alarme sind")} ausgelöst`,
    quiet: (count) => `${some(count, "Alarm ist", "Alarme sind")} stummgeschaltet`,
    todo: "Alarm öffnen: Er sagt, was zu tun ist. Ist er bekannt, stummschalten.",
    link: "Alarme",
  },
  cameras: {
    absent: "Keine Kamera meldet sich",
    fine: (count) => (count === 1 ? "Die Kamera sendet Bilder" : `Alle ${count} Kameras senden Bilder`),
    off: (names, many) => `${names} ${many ? "sind" : "ist"} nicht verbunden`,
    frozen: (names, many) => `${names} ${many ? "sind" : "ist"} verbunden, aber ${many ? "die Bilder stehen" : "das Bild steht"}`,
    todoOff: "Strom und Kabel prüfen, dann Adresse und Passwort in der Konfiguration.",
    todoFrozen: "Kamera neu starten: Sie antwortet, aber ihre Bilder ändern sich nicht.",
    link: "Kameras",
  },
  graphics: {
    absent: "Es ist keine Grafikkarte zu sehen",
    fine: (name) => `${name} arbeitet`,
    memory: (percent) => `${percent} ihres Speichers sind belegt`,
    hot: (celsius) => `Sie ist ${celsius} warm`,
    busy: (percent) => `${percent} ausgelastet`,
    todoMemory: "Ein Modell beenden, das niemand braucht, oder ein kleineres laden: Die nächste Anfrage kann scheitern.",
    todoHot: "Lüfter und Luft um die Karte prüfen.",
    link: "Systemzustand",
  },
  models: {
    absent: "Kein Sprachmodell läuft über das Gateway",
    fine: (count) => (count === 0 ? "Heute hat noch niemand ein Modell gefragt" : `${some(count, "Frage", "Fragen")} heute beantwortet`),
    failed: (failed, count) => `${failed} von ${some(count, "Frage", "Fragen")} von heute ${failed === 1 ? "ist" : "sind"} gescheitert`,
    down: (names, many) => `${names} ${many ? "antworten" : "antwortet"} nicht`,
    budget: (percent) => `${percent} des Monatsbudgets sind ausgegeben`,
    todoDown: "Prüfen, ob der Modellserver läuft und noch Speicher hat.",
    todoFailed: "Die Spuren der gescheiterten Fragen öffnen.",
    todoBudget: "Budget erhöhen oder weniger fragen: Was danach kommt, wird je nach Konfiguration abgelehnt oder nur gezählt.",
    link: "Pipeline",
  },
  queues: {
    absent: "Es gibt keine Warteschlange",
    fine: (waiting) => (waiting === 0 ? "Nichts wartet" : some(waiting, "Auftrag wartet", "Aufträge warten")),
    dead: (count) => `${some(count, "Auftrag ist", "Aufträge sind")} zu oft gescheitert und ${count === 1 ? "liegt" : "liegen"} beiseite`,
    overflow: (count) => `${some(count, "Auftrag fand", "Aufträge fanden")} keinen Platz`,
    todo: "Im DLQ-Monitor den Grund ansehen, ihn beheben, dann die Aufträge zurückstellen.",
    link: "DLQ-Monitor",
  },
  disk: {
    fine: (percent) => `${percent} der Festplatte sind belegt`,
    full: (percent, free) => `${percent} der Festplatte sind belegt, ${free} sind frei`,
    failed: (why) => `Was ankommt, kann nicht behalten werden: ${why}`,
    todoFull: "Löschen, was nicht gebraucht wird, oder Daten kürzer aufheben.",
    todoFailed: "Festplatte und Rechte prüfen; bis sie wieder beschreibbar ist, wird nichts behalten.",
    link: "Speicher",
  },
  services: {
    absent: "Kein Dienst wird überwacht",
    fine: (count) => (count === 1 ? "Der überwachte Dienst ist wohlauf" : `Alle ${count} überwachten Dienste sind wohlauf`),
    bad: (names, many) => `${names} ${many ? "sind" : "ist"} nicht wohlauf`,
    restarting: (names, many) => `${names} ${many ? "werden" : "wird"} neu gestartet`,
    todo: "Den Dienst öffnen: Dort steht, was versucht wurde und warum es scheiterte.",
    link: "Dienste",
  },
  programs: {
    absent: "Kein Programm wird nach Messwerten gefragt",
    fine: (count) => (count === 1 ? "Das beobachtete Programm antwortet" : `Alle ${count} beobachteten Programme antworten`),
    down: (down, count, names) => `${down} von ${some(count, "beobachtetem Programm", "beobachteten Programmen")} ${down === 1 ? "antwortet" : "antworten"} nicht: ${names}`,
    todo: "Prüfen, ob es läuft und ob seine Adresse stimmt.",
    link: "Welche",
  },
  and: (names, more) => {
    const last = more > 0 ? `${more} weitere` : names.at(-1);
    const others = more > 0 ? names : names.slice(0, -1);
    return others.length === 0 ? (last ?? "") : `${others.join(", ")} und ${last}`;
  },
};
