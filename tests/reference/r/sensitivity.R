# Rscript sensitivity.R: writes sensitivity.json beside it (Debian: r-base, r-cran-jsonlite)
# E-values as VanderWeele & Ding (2017), Ann Intern Med 167:268, give them (text and table 2), and empirical calibration as
# Schuemie et al. (2014), Stat Med 33:209, define it: the formulas as printed, with nothing of the package `EmpiricalCalibration`.
library(jsonlite)

e <- function(rr) { rr <- ifelse(rr < 1, 1 / rr, rr); rr + sqrt(rr * (rr - 1)) }
evalues <- function(est, lo, hi) list(point = e(est), limit = if (lo <= 1 && hi >= 1) 1 else e(if (est > 1) lo else hi))
common <- function(hr) (1 - 0.5^sqrt(hr)) / (1 - 0.5^sqrt(1 / hr)) # table 2: hazard ratio, outcome not rare
ratios <- list(c(3.9, 1.8, 8.7), c(0.80, 0.71, 0.91), c(1.3, 0.9, 1.9), c(0.6, 0.3, 1.2))

# Negative controls: y_i ~ N(mu, sd^2 + s_i^2). The likelihood is maximised over a bracketed profile (uniroot at full
# precision); where it falls from sd = 0 on, sd is 0.
null <- function(y, s) {
  mu <- function(v) weighted.mean(y, 1 / (v + s^2))
  slope <- function(v) sum((y - mu(v))^2 / (v + s^2)^2 - 1 / (v + s^2))
  loglik <- function(v) sum(dnorm(y, mu(v), sqrt(v + s^2), log = TRUE))
  v <- if (slope(0) <= 0) 0 else uniroot(slope, c(0, 100), tol = 1e-300, maxiter = 10000)$root
  near <- optimise(loglik, c(0, 10), maximum = TRUE, tol = 1e-10)
  stopifnot(loglik(v) >= near$objective - 1e-9) # nothing better anywhere
  list(mean = mu(v), sd = sqrt(v))
}
calibrated <- function(own, y, s) {
  n <- null(y, s)
  spread <- sqrt(n$sd^2 + own[2]^2)
  upper <- pnorm((n$mean - own[1]) / spread); lower <- pnorm((own[1] - n$mean) / spread)
  # its interval: the effect of which the estimate is a draw from N(effect + mean, sd^2 + s^2), by inversion
  end <- function(p) uniroot(function(effect) pnorm(own[1], effect + n$mean, spread) - p, own[1] + c(-20, 20), tol = 1e-14)$root
  c(n, list(p_value = 2 * min(upper, lower), estimate = end(0.5), conf_low = end(0.975), conf_high = end(0.025)))
}
sets <- list(
  wide = list(own = c(0.9, 0.15), values = c(0.42, -0.1, 0.65, 0.3, 0.05, 0.8, -0.35), errors = c(0.1, 0.2, 0.15, 0.12, 0.3, 0.25, 0.2)),
  none = list(own = c(-0.4, 0.1), values = c(0.01, -0.02, 0.03, 0.02), errors = c(0.1, 0.2, 0.15, 0.12)), # sd is 0
  three = list(own = c(0.2, 0.3), values = c(-0.5, 0.1, 0.6), errors = c(0.2, 0.2, 0.2))
)
write(toJSON(list(
  software = list(R = R.version.string),
  ratios = ratios, risk = lapply(ratios, function(r) do.call(evalues, as.list(r))), hazard = lapply(ratios, function(r) do.call(evalues, as.list(common(r)))),
  calibration = lapply(sets, function(set) c(set, calibrated(set$own, set$values, set$errors)))
), digits = 17, auto_unbox = TRUE), "sensitivity.json")
