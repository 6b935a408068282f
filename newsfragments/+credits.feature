`ampcode.fallback` decides what may go to Amp for credits: `allow`, `never`, or ordered rules by model and by role, each with a daily
limit in requests or tokens if wished, which no crowd of requests overruns and no killed process forgets. `ampproxy credits`
shows what today has used.
