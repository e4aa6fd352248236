/** Scenarios in which anything may come before anything else. */

export type Choose = <T>(options: readonly [T, ...T[]]) => T;

/**
 * Run a scenario once for every way in which its choices can fall; returns how many there are.
 *
 * @throws what the scenario throws, with the choices that led there.
 */
export async function everyWay(scenario: (choose: Choose) => Promise<void>): Promise<number> {
  const path: { taken: number; of: number; name: string }[] = [];
  for (let ways = 1; ; ways += 1) {
    let made = 0;
    const choose: Choose = (options) => {
      const choice = path[made] ?? { taken: 0, of: options.length, name: "" };
      path[made] = choice;
      made += 1;
      const option = options[choice.taken] ?? options[0];
      choice.name = String(option);
      return option;
    };
    try {
      await scenario(choose);
    } catch (error) {
      if (error instanceof Error) error.message = `${path.map(({ name }) => name).join(", ")}: ${error.message}`;
      throw error;
    }
    let last = path.pop();
    while (last !== undefined && last.taken + 1 === last.of) last = path.pop();
    if (last === undefined) return ways;
    path.push({ ...last, taken: last.taken + 1 });
  }
}
