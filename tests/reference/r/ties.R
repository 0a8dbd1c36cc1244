# Rscript ties.R: writes ties.csv and ties.json beside it (Debian: r-cran-survival, r-cran-jsonlite)
# Times that differ by a millionth: ties for R's aeqSurv where the mean of the distinct times is above 67, as it is here
# over all sites and not at the first. `tenths` and `since` are tenths as they are written or as sums make them, some a bit
# above or below an edge of the grid (0.1 * 3, cumsum). `far` has two of them a hundredth apart, tied since two others are a million.
library(survival)
library(jsonlite)
set.seed(4)
n <- 300
rows <- data.frame(site = rep(0:2, each = 100), x = round(rnorm(n), 2), arm = rep(c("a", "b"), 150))
scale <- c(5, 100, 300)[rows$site + 1]
rows$time <- round(scale * rexp(n) + 1) + sample(c(0, 1e-6), n, TRUE)
rows$event <- rbinom(n, 1, 0.8)
rows$entry <- round(rows$time * 0.5) - 0.25 + sample(c(0, 1e-6), n, TRUE)
rows$entry <- ifelse(rows$entry < 0, 0, rows$entry)
rows$far <- rows$time
rows$far[1:4] <- c(1e6, 4e6, 0.01, 0.02)
rows[, c("time", "entry", "far")] <- signif(rows[, c("time", "entry", "far")], 15)
tenth <- sample(1:14, n, TRUE)
rows$tenths <- sprintf("%.17g", ifelse(runif(n) < 0.5, tenth / 10, 0.1 * tenth))
before <- floor(tenth * runif(n))
rows$since <- sprintf("%.17g", ifelse(runif(n) < 0.5, before / 10, c(0, cumsum(rep(0.1, 14)))[before + 1]))
write.csv(rows, "ties.csv", row.names = FALSE, quote = FALSE)
rows <- read.csv("ties.csv")
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
cox <- function(f) { fit <- coxph(f, rows, control = tight); list(estimate = unname(coef(fit)), std_error = unname(sqrt(diag(fit$var))), loglik = fit$loglik[2]) }
curve <- function(f) { fit <- survfit(f, rows); list(time = fit$time, at_risk = fit$n.risk, events = fit$n.event, survival = fit$surv) }
edges <- c(0.3, 0.6, 0.9, 1.2)
same <- aeqSurv(Surv(c(rows$since, 0 * edges), c(rows$tenths, edges), c(rows$event, 0 * edges))) # edges are times too
edge <- tail(same[, 2], 4)
rows$step <- findInterval(same[1:n, 2], edge, left.open = TRUE)
rows$began <- findInterval(same[1:n, 1], edge)
rows$inside <- rows$event * (rows$step < 4)
binned <- function(f) { fit <- survfit(f, rows); list(at_risk = fit$n.risk[1:4], events = fit$n.event[1:4], survival = fit$surv[1:4]) }
rows[, c("from", "to")] <- unclass(same)[1:n, 1:2] # in time that was spent, rounding says nothing
parts <- survSplit(Surv(from, to, event) ~ x, rows, cut = edge[1:3], episode = "k")
pieces <- glm(event ~ 0 + x + factor(k) + offset(log(to - from)), poisson, parts, control = glm.control(epsilon = 1e-14))
found <- list(
  software = list(R = R.version.string, survival = as.character(packageVersion("survival"))), site = cox(Surv(time, event) ~ x + strata(site)), one = cox(Surv(time, event) ~ x),
  late = cox(Surv(entry, time, event) ~ x + strata(site)), far = cox(Surv(far, event) ~ x), far_site = cox(Surv(far, event) ~ x + strata(site)),
  log_rank = survdiff(Surv(time, event) ~ arm, rows)$chisq, log_rank_site = survdiff(Surv(time, event) ~ arm + strata(site), rows)$chisq,
  log_rank_far = survdiff(Surv(far, event) ~ arm, rows)$chisq, curve = curve(Surv(time, event) ~ 1), curve_far = curve(Surv(far, event) ~ 1),
  grid_curve = binned(Surv(step, inside) ~ 1), grid_cox = cox(Surv(step + 1, inside) ~ x), grid_late = cox(Surv(began, step + 1, inside) ~ x),
  cut = list(estimate = unname(coef(pieces)), std_error = unname(sqrt(diag(vcov(pieces))))),
  grid_apart = sum(rows$step != findInterval(rows$tenths, edges, left.open = TRUE)),
  apart = cox(Surv(time, event) ~ x)$estimate - unname(coef(coxph(Surv(time, event) ~ x, rows, control = coxph.control(timefix = FALSE))))
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "ties.json")
