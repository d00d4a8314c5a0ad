import pino, { type DestinationStream, type Logger } from "pino";

export type { Logger } from "pino";
export type LogLevel = "silent" | "error" | "warn" | "info" | "debug";

const LEVELS: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "fatal" };
/** Of a log line, what people see elsewhere in it or need not see. */
const HIDDEN = new Set(["level", "time", "msg", "err"]);

/** Logs JSON lines, as machines read them, to standard output unless said; written together, a few times a second. */
export function jsonLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(options, destination ?? pino.destination({ dest: 1, sync: false, minLength: 4096, periodicFlush: 200 }));
}

/** Logs lines as people read them. */
export function textLogger(level: LogLevel, write: (line: string) => void): Logger {
  return pino({ level, base: null, timestamp: false }, { write: (line: string) => write(asText(line)) });
}

function asText(line: string): string {
  const { level, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown> & { err?: { message?: string } };
  const fields = Object.entries(rest).filter(([name]) => !HIDDEN.has(name));
  const told = fields.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const kind = level === 30 ? [] : [`${LEVELS[level as number]}:`];
  return `${[...kind, msg, ...told, ...(err?.message === undefined ? [] : [err.message])].join(" ")}\n`;
}
