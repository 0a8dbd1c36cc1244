# Rscript cox.R: writes cox.json beside it (Debian: r-cran-survival, r-cran-jsonlite)
library(survival)
library(jsonlite)
rows <- read.csv("survival.csv")
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
left <- c(plain = "Surv(time, event)", late = "Surv(entry, time, event)")
right <- c(one = "x + age + arm", site = "x + age + arm + strata(site)")
fitted <- function(fit) {
  list(
    estimate = unname(coef(fit)), std_error = unname(sqrt(diag(fit$var))), loglik_null = fit$loglik[1],
    loglik = fit$loglik[2], score = fit$score, wald = unname(fit$wald.test)
  )
}
tested <- function(fit, transform) { t <- cox.zph(fit, transform = transform)$table; list(term = rownames(t), statistic = unname(t[, 1]), df = unname(t[, 2])) }
# pairs of the same site, whatever the baseline of the fit
within <- function(l, fit, ...) {
  k <- do.call(concordance, list(as.formula(paste(left[l], "~ lp + strata(site)")), data = transform(rows, lp = predict(fit, type = "lp")), reverse = TRUE, ...))
  unname(c(k$concordance, sqrt(k$var)))
}
found <- list(software = list(R = R.version.string, survival = as.character(packageVersion("survival"))))
for (l in names(left)) for (r in names(right)) for (ties in c("efron", "breslow")) {
  ask <- function(...) do.call(coxph, list(as.formula(paste(left[l], "~", right[r])), data = rows, ties = ties, control = tight, ...))
  plain <- ask()
  base <- basehaz(plain, centered = FALSE)
  found[[paste(l, r, ties)]] <- list(
    model = fitted(plain), robust = fitted(ask(cluster = rows$id)), cluster = fitted(ask(cluster = rows$clinic)),
    precision = fitted(ask(weights = rows$w, robust = FALSE)), sampling = fitted(ask(weights = rows$w, cluster = rows$id)),
    weighted_cluster = fitted(ask(weights = rows$w, cluster = rows$clinic)), frequency = fitted(ask(weights = rows$copies, robust = FALSE)),
    identity = tested(plain, "identity"), log = tested(plain, "log"), km = tested(plain, "km"), rank = tested(plain, "rank"),
    weighted_km = tested(ask(weights = rows$w, robust = FALSE), "km"), clustered_concordance = unname(ask(cluster = rows$clinic)$concordance), weighted_identity = tested(ask(weights = rows$w, robust = FALSE), "identity"),
    concordance = unname(plain$concordance), weighted_concordance = unname(ask(weights = rows$w, robust = FALSE)$concordance),
    within = list(
      concordance = within(l, plain), weighted_concordance = within(l, ask(weights = rows$w, robust = FALSE), weights = rows$w),
      clustered_concordance = within(l, plain, cluster = rows$clinic)
    ),
    baseline = if (r == "one") list(time = base$time, hazard = base$hazard) else NULL
  )
}
# the curve of `km` on steps of 5, for a fit whose strata are sites
steps <- survfit(Surv(floor(entry / 5) * 5, ceiling(time / 5) * 5, event) ~ 1, rows)
curve <- function(t) 1 - c(1, steps$surv)[findInterval(ceiling(t / 5) * 5, steps$time, left.open = TRUE) + 1]
found$grid_km <- tested(coxph(Surv(entry, time, event) ~ x + age + arm + strata(site), rows, control = tight), curve)
# the last of each site comes when all others have left: alone at its event
last <- ave(rows$time, rows$site, FUN = max) == rows$time
lone <- transform(rows, event = ifelse(last, 1, event), entry = ifelse(last, time - 0.5, entry))
for (ties in c("efron", "breslow")) found[[paste("lone", ties)]] <- fitted(coxph(Surv(entry, time, event) ~ x + age + arm + strata(site), lone, weights = w, ties = ties, control = tight, robust = FALSE))
found$alone <- sum(last)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "cox.json")
