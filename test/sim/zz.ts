import { simulate } from './world.ts';
const t={};
for (let s = 1; s <= 20; s++) { const r = await simulate(s); if (r.findings.length) console.log(s, r.findings.slice(0,2)); for (const [k,v] of Object.entries(r.tally)) (t as any)[k] = ((t as any)[k]??0)+v; }
console.log(t, process.cpuUsage().user/1000);
