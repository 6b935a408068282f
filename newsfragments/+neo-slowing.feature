How requests without the key of Amp's cloud are slowed and logged has settings: `neo.failure-delay-max`, `failure-reset`, `failure-peers`, `failure-waiting` and `failure-log`.
