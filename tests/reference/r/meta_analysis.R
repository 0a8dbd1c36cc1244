# Reference values of meta-analysis that ../shared/truth does not hold: Rscript meta_analysis.R > meta_analysis.json
# metafor's dat.bcg and made figures; `tol` and `threshold` so small that only rounding is left.
suppressMessages(library(metafor))
library(jsonlite)
control <- list(threshold = 1e-15, maxiter = 10000, tol = 1e-15)
bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
whole <- function(r) { p <- predict(r); list(beta = c(r$beta), se = r$se, tau2 = r$tau2, se_tau2 = r$se.tau2, I2 = r$I2, H2 = r$H2,
  Q = r$QE, Q_p = r$QEp, pi = c(p$pi.lb, p$pi.ub), ci = cbind(r$ci.lb, r$ci.ub)) }
groups <- function(method, test) {
  m <- rma(yi, vi, mods = ~ factor(alloc) - 1, data = bcg, method = method, test = test, control = control)
  d <- rma(yi, vi, mods = ~ factor(alloc), data = bcg, method = method, test = test, control = control)
  list(names = levels(factor(bcg$alloc)), beta = c(m$beta), se = m$se, tau2 = m$tau2, I2 = m$I2, Q = m$QE, Q_p = m$QEp, se_tau2 = m$se.tau2,
       QM = d$QM, QMp = d$QMp) }
left <- function(method, test) { l <- leave1out(rma(yi, vi, data = bcg, method = method, test = test, control = control))
  list(beta = l$estimate, se = l$se, tau2 = l$tau2, I2 = l$I2, Q = l$Q, Q_p = l$Qp) }
made <- list(events1 = c(0, 4, 12, 0), n1 = c(20, 40, 50, 15), events0 = c(3, 9, 10, 0), n0 = c(22, 41, 49, 14))
mh <- function(measure) { r <- rma.mh(ai = made$events1, n1i = made$n1, ci = made$events0, n2i = made$n0, measure = measure, drop00 = FALSE)
  list(beta = c(r$beta), se = r$se, Q = r$QE) }
tables <- lapply(c(OR = "OR", RR = "RR", RD = "RD"), function(m) {
  e <- escalc(measure = m, ai = made$events1, n1i = made$n1, ci = made$events0, n2i = made$n0); list(yi = c(e$yi), vi = c(e$vi)) })
cat(toJSON(list(
  software = list(R = R.version.string, metafor = as.character(packageVersion("metafor"))),
  PM = whole(rma(yi, vi, data = bcg, method = "PM", control = control)),
  PM_HKSJ = whole(rma(yi, vi, data = bcg, method = "PM", test = "knha", control = control)),
  groups_REML = groups("REML", "z"), groups_DL = groups("DL", "z"), groups_PM_HKSJ = groups("PM", "knha"), groups_FE = groups("FE", "z"),
  left_REML = left("REML", "z"), left_DL_HKSJ = left("DL", "knha"), left_FE = left("FE", "z"),
  made = made, tables = tables, MH_OR = mh("OR"), MH_RR = mh("RR"), MH_RD = mh("RD")
), digits = I(17), auto_unbox = TRUE, pretty = TRUE))
