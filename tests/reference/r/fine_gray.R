# Rscript fine_gray.R: writes fine_gray.json beside it (Debian: r-cran-cmprsk, r-cran-survival, r-cran-jsonlite)
library(cmprsk)
library(survival)
library(jsonlite)
rows <- read.csv("survival.csv")
X <- cbind(x = rows$x, age = rows$age, treated = as.numeric(rows$arm == "treated"))
fitted <- function(code, time) {
  fit <- crr(time, rows$cause, X, failcode = code, cencode = 0, gtol = 1e-13, maxiter = 50)
  list(estimate = unname(fit$coef), variance = fit$var, loglik = fit$loglik, loglik_null = fit$loglik.null)
}
# Zhou et al. (2011), regularly stratified: cmprsk has no strata, but at maxiter = 0 crr gives score, information and
# variance at given coefficients; those of each stratum, with its own censoring curve, add up.
# survival::finegray with coxph agrees where no event shares its time with censoring, which it orders otherwise: `untied`.
stratified <- function(code, stratum, rows) {
  at <- function(b) lapply(split(seq_len(nrow(rows)), stratum), function(i)
    crr(rows$time[i], rows$cause[i], X[i, ], failcode = code, cencode = 0, init = b, maxiter = 0))
  total <- function(fits, what) Reduce(`+`, lapply(fits, what))
  b <- rep(0, ncol(X))
  null <- total(at(b), function(f) f$loglik)
  for (step in 1:30) { fits <- at(b); b <- b + solve(total(fits, function(f) f$inf), total(fits, function(f) f$score)) }
  fits <- at(b)
  bread <- solve(total(fits, function(f) f$inf))
  meat <- total(fits, function(f) f$inf %*% f$var %*% f$inf)
  again <- finegray(Surv(time, factor(cause)) ~ . + strata(stratum), cbind(rows, stratum), etype = as.character(code))
  fit <- coxph(Surv(fgstart, fgstop, fgstatus) ~ x + age + arm + strata(stratum), again, weights = fgwt, ties = "breslow", control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100))
  list(estimate = unname(b), variance = bread %*% meat %*% bread, loglik = total(fits, function(f) f$loglik), loglik_null = null, finegray = unname(coef(fit)))
}
untied <- transform(rows, time = time + id / 1000)
# Late entries: survival::finegray, with one baseline and with sites as strata; `met`: each entry is when another row left.
weighted <- function(code, rows, stratum = NULL) {
  parts <- lapply(if (is.null(stratum)) list(seq_len(nrow(rows))) else split(seq_len(nrow(rows)), stratum), function(i) {
    own <- rows[i, ]
    own$who <- own$id
    cbind(finegray(Surv(entry, time, factor(cause, 0:2)) ~ x + age + arm + who, own, id = id, etype = as.character(code)), part = own$site[1])
  })
  made <- do.call(rbind, parts)
  made$part <- if (is.null(stratum)) 1 else made$part
  fit <- coxph(Surv(fgstart, fgstop, fgstatus) ~ x + age + arm + strata(part), made, weights = fgwt, cluster = who, ties = "breslow", control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100, timefix = FALSE))
  list(estimate = unname(coef(fit)), variance = unname(fit$var), loglik = fit$loglik[2], loglik_null = fit$loglik[1])
}
met <- transform(untied, entry = sapply(entry, function(e) max(0, time[time <= e])))
# Events, censorings and entries at the same times.
tied <- transform(rows, time = 5 * ceiling(time / 5), entry = 5 * pmin(floor(entry / 5), ceiling(time / 5) - 1))
found <- list(software = list(R = R.version.string, cmprsk = as.character(packageVersion("cmprsk")), survival = as.character(packageVersion("survival"))),
  relapse = fitted(1, rows$time), death = fitted(2, rows$time), binned = fitted(1, ceiling(rows$time / 10) * 10),
  "relapse by site" = stratified(1, rows$site, rows), "death by site" = stratified(2, rows$site, rows), "relapse by half" = stratified(1, rows$id %% 2, rows),
  "late relapse" = weighted(1, untied), "late death" = weighted(2, untied), "late by site" = weighted(1, untied, untied$site),
  "late met" = weighted(1, met), "late met by site" = weighted(1, met, met$site),
  "late tied" = weighted(1, tied), "late tied death" = weighted(2, tied), "late tied by site" = weighted(1, tied, tied$site),
  "untied by site" = stratified(1, untied$site, untied), "relapse by site and half" = stratified(1, paste(rows$site, rows$id %% 2), rows))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "fine_gray.json")
